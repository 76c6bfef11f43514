"""The processes of a server: workers, supervisor, plan loader, hand-off."""
