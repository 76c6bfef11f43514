"""Versions that are not compiled, answered by their libraries in processes."""
