"""Everything that a model's YAML can say, and what of it is refused before any data."""
