"""Looks for the columns of a table: by the names that they have, or that somebody has given."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from evaluation.click_files.cells import MISSING
from evaluation.click_files.roles import Vocabulary, normal
from evaluation.click_files.table import Table
from evaluation.errors import UnreadableFileError

NONE = "-"
"""Says that a file has no column of a role."""


class Search:
    """Looks for columns of one table, by what such columns are called."""

    def __init__(self, table: Table, words: Vocabulary) -> None:
        self.table = table
        self.normals = [normal(name) for name in table.names]
        self.numbered = table.names == [str(n) for n in range(1, len(table.names) + 1)]
        self._words = words

    def error(self, what: str, option: str) -> UnreadableFileError:
        """Return an error that lists the columns and names the option."""
        names = ", ".join(self.table.names[:20])
        if self.numbered and self.table.sample:
            example = ", ".join(self.table.sample[0])[:60]
            names = f"numbers 1 to {len(self.table.names)}, as there is no header ({example})"
        return UnreadableFileError(
            self.table.path, f"{what}; its columns are: {names}. Say which with {option}"
        )

    def said(self, role: str, text: str, signs: str = "") -> tuple[int, str]:
        """Return the column that an option names, and what follows it.

        Parameters
        ----------
        role
            What the option is called.
        text
            A name or number, or one and what follows after one of the signs.
        signs
            ``=`` is left out of what follows, any other sign begins it.

        Raises
        ------
        UnreadableFileError
            If there is no such column.
        """
        for cut, sign in ((len(text), ""), *((text.find(sign), sign) for sign in signs)):
            index = self.index(text[:cut] if cut > 0 else "")
            if index is not None:
                return index, text[cut:] if sign != "=" else text[cut + 1 :]
        raise self.error(f"there is no column {text!r}", f"--{role}")

    def candidates(self, role: str) -> list[int]:
        """Return the columns that are known by their names, the best one first."""
        known: list[int] = []
        for name in self._words.names[role]:
            found = [i for i, other in enumerate(self.normals) if other == name]
            if len(found) > 1 and not known:
                both = " and ".join(repr(self.table.names[i]) for i in found)
                raise self.error(f"{both} may both be the column of {role}s", f"--{role}")
            known += found
        return known

    def note_unused(self, role: str, indexes: Sequence[int]) -> None:
        """Note which columns may be of a role by their names, and are not used."""
        if unused := ", ".join(repr(self.table.names[i]) for i in indexes):
            self.table.notes.append(
                f"by their names these may be {role}s too, and are not used: {unused}; "
                f"say which with --{role}"
            )

    def name(self, index: int) -> str:
        """Return a column's name."""
        return self.table.names[index]

    def values(self, index: int) -> pl.Series:
        """Return a column's first values as text, null where there is none."""
        texts = pl.Series([row[index].strip() for row in self.table.sample], dtype=pl.String)
        return texts.set(texts.is_in(MISSING), None)

    def index(self, name: str) -> int | None:
        """Return the column of a name or number; None if there is none."""
        if name in self.table.names:
            return self.table.names.index(name)
        bare = [other.split(":")[0] for other in self.table.names]
        if name in bare:
            return bare.index(name)
        if name.isdigit() and 0 < int(name) <= len(bare):
            return int(name) - 1
        return None
