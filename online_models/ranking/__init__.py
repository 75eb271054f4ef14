"""From the pool to the page: blend, features, rankings, filters."""
