"""The models of a plan: loaded, tried on probe rows, and asked."""
