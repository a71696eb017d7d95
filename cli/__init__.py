"""The command line of packmule: the only part that talks to a screen."""
