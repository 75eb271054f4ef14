"""What the clients return is explained, and each figure of it has a test."""

from dataclasses import fields

from nextclick import results
from tests.unit.documented_figures import explained

NO_FIGURES = {
    results.Recommendation: {"items", "recommendation_id"},
    results.RecommendedItem: {"item_id"},
    results.Reason: {"because_item_ids"},
    results.PutResult: set(),
    results.Model: {"tenant"},
}


def test_every_figure_that_a_client_returns_is_explained():
    """A backend's author sees them first, and steers by them."""
    for kind, others in NO_FIGURES.items():
        assert {field.name for field in fields(kind)} - others <= explained(), kind
