"""Content vectors: what items are, for those that nobody has clicked yet."""
