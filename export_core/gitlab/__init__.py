"""GitLab's project export format as data: the relation tree, the tables, the layout of archive and server."""
