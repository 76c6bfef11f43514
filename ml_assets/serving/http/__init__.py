"""The HTTP server: heads, bodies, routing to executors, answers and problems."""
