"""Item vectors: learning them, and finding items with near ones."""
