"""What is told to the outside: log lines, traces and metrics."""
