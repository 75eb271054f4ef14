"""Learning: of a click by all models at once, and of vectors and ranker by themselves."""
