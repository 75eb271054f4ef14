"""Checks of lists of ids: the same answer as a plain loop, at a fraction of its cost."""

from hypothesis import given
from hypothesis import strategies as st

from nextclick.checks import first_too_long


@given(st.lists(st.text(max_size=12), max_size=6), st.integers(1, 20))
def test_the_first_text_of_too_many_bytes_is_found(texts, most):
    """Limits are of bytes: an id in Chinese has three for each character."""
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    places = [place for place, text in enumerate(texts) if len(text.encode()) > most]
    assert first_too_long(texts, most) == (places[0] if places else None)
