"""From the body of a request to rows that a model takes, or why they are refused."""
