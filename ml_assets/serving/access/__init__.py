"""Who may ask the server for what: the file of API keys, and the callers it names."""
