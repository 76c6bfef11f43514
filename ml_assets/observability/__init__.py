"""Log lines, traces, metrics and notifications of the platform."""
