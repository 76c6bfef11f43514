"""What is kept of a model: versions, tables, ledger, contracts, and the registry."""
