"""Catalogues from files: of items, or of clicks with a CatId."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluation.click_files.content import packing, text_blocks, text_of
from evaluation.errors import UnreadableFileError
from evaluation.item_files.reader import ItemFile
from nextclick.codec import Item

CLICKS = "SessionId\tItemId\tCatId"
"""How a file of clicks with a CatId begins."""


def load_items(path: Path) -> list[Item]:
    """Return the items of a file of which every row can be read.

    Formats and columns are those of `evaluation.item_files`; or clicks with a CatId, separated by
    tabs, where an item gets the category of its first click that has one.

    Raises
    ------
    UnreadableFileError
        For whatever cannot be read, with its reason and first lines.
    """
    if packing(path) != "parquet" and next(text_blocks(path), "").startswith(CLICKS):
        with text_of(path) as lines:
            rows = [(n, line.split("\t")) for n, line in enumerate(lines, 1) if line.strip()]
        return _category_items(path, rows[1:])
    file = ItemFile(path)
    items = [item for block in file.blocks() for _, item in block.rows if not item.deleted]
    if file.report.refused.total:
        told = "; ".join(line.strip() for line in file.report.refused.lines())
        raise UnreadableFileError(path, told, file.report.refused.first_line)
    return items


def _category_items(path: Path, rows: Sequence[tuple[int, list[str]]]) -> list[Item]:
    categories: dict[str, tuple[str, ...]] = {}
    for number, fields in rows:
        if len(fields) < 3:
            raise UnreadableFileError(path, "it has no CatId", number)
        _, item_id, category, *_ = fields
        if not categories.get(item_id):
            categories[item_id] = (category,) if category != "0" else ()
    return [Item(item_id, categories=names) for item_id, names in categories.items()]
