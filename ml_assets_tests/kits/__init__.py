"""What several tests use: servers, clusters and registries to talk to, and data."""
