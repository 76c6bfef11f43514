"""Jobs, schedules and sensors: what runs without being asked, and who is notified."""
