"""Speed measured side by side; results are kept in ``RESULTS.md``."""
