"""The language of derived columns: its grammar, its operations, and evaluation."""
