"""Candidate sources: what each learns of a click, and which items it names for a session."""
