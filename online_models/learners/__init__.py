"""Learning: a click by all models at once, and stand-alone learners of vectors and ranker."""
