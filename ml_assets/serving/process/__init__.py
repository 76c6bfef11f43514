"""The processes of a server: workers, their supervisor, sockets and settings."""
