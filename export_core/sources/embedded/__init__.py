"""The embedded instance: a real PostgreSQL from a pip wheel with GitLab's tables and storage directories.

It is a source like any other (read through ``gitlab_db``), and the only one that packmule writes to: for
``import``, ``demo`` and tests.
"""
