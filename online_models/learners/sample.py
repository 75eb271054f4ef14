"""How much of the clicks the ranker learns from."""

DEFAULT_SAMPLE = 2
"""One click in two teaches the ranker: 60 to 100 us a click. All of them cost half as much again
and gain nothing beyond noise on the validation splits; one in four loses 0.1 to 0.3 points."""
