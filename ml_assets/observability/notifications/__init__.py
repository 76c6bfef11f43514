"""Messages to people: where they come from, how they read, and who sends them."""
