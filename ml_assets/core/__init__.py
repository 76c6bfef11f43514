"""What knows no domain: storage, retries, redaction, log format, signatures, traces."""
