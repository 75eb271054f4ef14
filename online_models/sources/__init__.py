"""Candidate sources: what each learns from a click, and which items it finds for a session."""
