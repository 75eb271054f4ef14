"""Facts about items, by row, and about sessions, by slot."""
