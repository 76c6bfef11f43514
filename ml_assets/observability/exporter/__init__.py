"""The Prometheus exporter of a Dagster instance and the storage.

docs/observability.md lists its metrics. A thread for each source reads what is new; a
scrape returns what the threads read last.
"""
