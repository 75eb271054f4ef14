"""The tokens of an item's content."""

import zlib

from online_models.tables.content_tokens import item_tokens


def test_tokens_are_bounded_and_stable():
    """Numbers are in stored state: another hash tomorrow would mix contents up."""
    tokens = item_tokens(("red", "red"), {"size": "4", "brand": "x"}, "A red, RED shoe!")
    assert tokens == item_tokens(("red",), {"brand": "x", "size": "4"}, "a Red shoe")
    assert len(tokens) == 5
    assert item_tokens(("red",)) == [1 + zlib.crc32(b"c:red") % 65_535]
    assert len(item_tokens(title=" ".join(f"w{i}" for i in range(99)))) == 16
