"""The Prometheus exporter over a Dagster instance and the storage.

docs/observability.md lists what it tells. One follower a source reads what is new in a
thread of its own; a scrape shows what the followers published last.
"""
