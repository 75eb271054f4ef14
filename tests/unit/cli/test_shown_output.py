"""What people see: tables that fit their terminal, with units, and plain text in a pipe."""

import pytest

from cli.console import out
from cli.figures import FILLS
from online_models.ranking.page import NEAR_SCORE
from tests.help_examples import COMMANDS
from tests.unit.cli.shown_output import FOLDER, SHOWN, SILENT, WIDTHS, printed

BORDER = "│"


def test_the_output_of_every_command_is_looked_at():
    """A new command would be the one whose figures have no units."""
    commands = {"-".join(path) for path in COMMANDS}
    assert commands - set(SHOWN) == set(SILENT)
    files = {f"{name}-{width}.txt" for name in SHOWN for width in WIDTHS}
    assert {file.name for file in FOLDER.iterdir()} == files


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
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in text
    rows = [line.strip(BORDER).split(BORDER) for line in lines if line.startswith(BORDER)]
    assert all(cell.strip() for row in rows for cell in row), "a name or figure in two lines"


@pytest.mark.parametrize("name", SHOWN)
def test_there_are_no_colours_in_a_pipe(name):
    """Scripts and logs would get escape sequences between the words."""
    assert not out.is_terminal
    assert "\x1b" not in printed(name, 80)


def test_items_that_fill_a_page_have_no_score():
    """Their scores, -100 and less, look like a judgement; they say no more than the order."""
    assert FILLS == NEAR_SCORE
