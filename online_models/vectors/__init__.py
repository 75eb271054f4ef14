"""Item vectors: how they are learned, and how near ones are found."""
