"""What the rankings see of each candidate; one file a family."""
