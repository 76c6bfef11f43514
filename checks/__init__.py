"""What is checked of the project besides its tests; each runs as ``python -m``."""
