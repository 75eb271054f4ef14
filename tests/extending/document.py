"""Reads docs/extending.md: the blocks that name a file, and how to apply them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```(\w+) file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^## (.+)\n", re.MULTILINE)


class Block(NamedTuple):
    """A new file, or a change (``diff``) of one that is there."""

    kind: str
    file: str
    text: str

    def apply(self, folder: Path) -> None:
        """Apply it below a folder; each change must fit exactly one place."""
        path = folder / self.file
        if self.kind != "diff":
            assert not path.exists(), f"{self.file} is there already"
            path.write_text(self.text)
            return
        text = path.read_text()
        for hunk in self.text.split("@@\n"):
            lines = hunk.splitlines()
            assert all(line[:1] in ("", " ", "+", "-") for line in lines), hunk
            before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
            after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
            text = f"\n{text}"
            assert text.count(f"\n{before}") == 1, f"{self.file} has no single place for:\n{hunk}"
            text = text.replace(f"\n{before}", f"\n{after}")[1:]
        path.write_text(text)


def sections(text: str) -> dict[str, list[Block]]:
    """Return the blocks of each section that has any, by its title."""
    _, *parts = _SECTION.split(text)
    found = {
        title: [Block(*block) for block in _BLOCK.findall(body)]
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }
    return {title: blocks for title, blocks in found.items() if blocks}


def promised(text: str) -> dict[str, set[str]]:
    """Return the existing files that the table names, by the title of their section."""
    rows = re.findall(r"^\| \[([^]]+)\]\(#\S+\) \| (.+) \|$", text, re.MULTILINE)
    return {
        title[0].upper() + title[1:]: set(re.findall(r"`([\w/]+\.\w+)`", places))
        for title, places in rows
    }
