"""What a request is: messages, problems, and the validation of its rows."""
