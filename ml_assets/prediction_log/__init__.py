"""The prediction log: segments, Parquet, labels, and reading them."""
