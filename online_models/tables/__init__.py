"""What is known of items and sessions, by row and by slot."""
