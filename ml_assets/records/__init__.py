"""What processes hand to each other: plans, signatures, ledger entries, assignments."""
