"""Reading catalogues: every format, and errors that name the file."""

import pytest

from evaluation.catalogues import load_items
from evaluation.errors import UnreadableFileError
from nextclick import Item, encode_item


def write(tmp_path, text):
    path = tmp_path / "items"
    path.write_text(text)
    return path


def test_json_lines_of_items(tmp_path):
    """What the topic `items` holds can be read from a file."""
    items = [Item("a", categories=("x",), title="A"), Item("b", available=False)]
    text = "".join(encode_item(item).decode() + "\n" for item in items)
    assert load_items(write(tmp_path, text)) == items
    with pytest.raises(UnreadableFileError, match=":2:"):
        load_items(write(tmp_path, encode_item(items[0]).decode() + "\n{}\n"))


def test_atomic_item_files(tmp_path):
    """Public data sets come so: sequences are categories, the title is a title."""
    text = (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tToy Story\t1995\tAnimation Comedy\n2\tHeat\t\tAction\n"
    )
    assert load_items(write(tmp_path, text)) == [
        Item(
            "1",
            categories=("Animation", "Comedy"),
            attributes={"release_year": "1995"},
            title="Toy Story",
        ),
        Item("2", categories=("Action",), title="Heat"),
    ]


def test_click_files_with_a_category(tmp_path):
    """0 says that the click has none; another click of the item may have one."""
    text = "SessionId\tItemId\tCatId\tTime\n1\ta\t0\t1\n1\ta\t7\t2\n1\tb\t0\t3\n2\ta\t8\t4\n"
    assert load_items(write(tmp_path, text)) == [Item("a", categories=("7",)), Item("b")]


def test_other_files_are_refused(tmp_path):
    """The message says what is expected."""
    with pytest.raises(UnreadableFileError, match="no column of items is known"):
        load_items(write(tmp_path, "a,b\n"))
    with pytest.raises(UnreadableFileError, match="cannot read"):
        load_items(tmp_path / "nowhere")
