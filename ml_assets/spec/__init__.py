"""Every key of a model's YAML, and what of it is refused before any data is read."""
