"""One file a command; ``cli/main.py`` names them all."""
