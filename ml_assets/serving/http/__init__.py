"""The HTTP server: connections, heads and bodies, routes and executors."""
