"""What was read from a file of items, and what was not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evaluation.click_files.report import FIRST_LINES, TableReport


@dataclass
class ItemReport(TableReport):
    """What was read from one file of items.

    Attributes
    ----------
    items
        Rows that are items, those excepted that were refused later.
    deletions
        Rows that say of an item that it is deleted.
    nameless
        Rows of which it is not known what item they are of.
    """

    items: int = 0
    deletions: int = 0
    nameless: int = 0

    def refuse(self, reason: str, line: int, text: Callable[[int], str]) -> None:
        """Count an item that was read as refused: by the line that it is of, and its text."""
        self.items -= 1
        full = len(self.refused.first.get(reason, ())) == FIRST_LINES
        self.refused.add(reason, 1, [] if full else [(line, text(line))])

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        deletions = f", {self.deletions:,} deletions" if self.deletions else ""
        use = "; --attribute makes a column an attribute, --number a number"
        return self.told(f"{self.items:,} items{deletions}", use=use)

    def check(self) -> None:
        """Raise `UnreadableFileError` if more than half of the rows cannot be read."""
        options = "--item, --title, --category, --available, --attribute, --number and the others"
        self.check_readable(self.items + self.deletions, options)
