"""The stages of a model, one a file: each ``build(spec)`` gives its definitions."""
