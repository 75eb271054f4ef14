"""The features of a candidate that the rankings use; one file per family."""
