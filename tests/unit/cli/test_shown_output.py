"""What people see: tables that fit their terminal, with units, and plain text in a pipe."""

import pytest

from cli.console import out
from cli.recommend import FILLS
from online_models.ranking.page import NEAR_SCORE
from tests.unit.cli.shown_output import FOLDER, SHOWN, WIDTHS, printed


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SHOWN)
def test_commands_print_what_was_looked_at(name, width):
    """`status` showed half-words and "0.0..." in 80 columns; `replay` printed dictionaries."""
    assert printed(name, width) == (FOLDER / f"{name}-{width}.txt").read_text()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SHOWN)
def test_nothing_is_cut_nor_wider_than_the_terminal(name, width):
    """A figure that is cut is a wrong figure."""
    text = printed(name, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


@pytest.mark.parametrize("name", SHOWN)
def test_there_are_no_colours_in_a_pipe(name):
    """Scripts and logs would get escape sequences between the words."""
    assert not out.is_terminal
    assert "\x1b" not in printed(name, 80)


def test_items_that_fill_a_page_have_no_score():
    """Their scores, -100 and less, look like a judgement; they say no more than the order."""
    assert FILLS == NEAR_SCORE
