"""Notifications in Slack: their event sources, their messages, and the notifier."""
