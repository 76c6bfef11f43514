"""Prometheus metrics of a server, and the port that exposes them."""
