"""Processes that answer for versions that are not compiled, and long requests."""
