"""Who may ask the server for what: the file of callers, their keys and tokens."""
