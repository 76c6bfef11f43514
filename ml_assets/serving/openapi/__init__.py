"""The OpenAPI document of a server, and its pages for people."""
