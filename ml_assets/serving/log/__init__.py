"""The server's half of the prediction log: written before the answer leaves."""
