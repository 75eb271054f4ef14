"""Catalogues from files: JSON Lines of items, atomic ``.item`` files, or clicks with a CatId."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluation.click_files.content import text_of
from evaluation.errors import UnreadableFileError
from nextclick.codec import InvalidEventError, Item, decode_item


def load_items(path: Path) -> list[Item]:
    """Return the items of a file.

    Formats, told apart by the header: JSON Lines as on the topic `items`; tab-separated atomic
    files (``item_id:token movie_title:token_seq class:token_seq ...``: columns named title become
    the title, other sequences categories, the rest attributes); and tab-separated clicks with a
    CatId, where an item gets the category of its first click that has one.

    Raises
    ------
    UnreadableFileError
        With file and line for whatever cannot be read.
    """
    with text_of(path) as lines:
        header = lines.readline().rstrip("\n")
        rest = [(n, line.rstrip("\n")) for n, line in enumerate(lines, 2) if line.strip()]
    if not header and not rest:
        raise UnreadableFileError(path, "it is empty")
    if header.startswith("{"):
        return [_json_item(path, n, line) for n, line in [(1, header), *rest]]
    columns = header.split("\t")
    rows = [(n, line.split("\t")) for n, line in rest]
    if columns[0] == "item_id:token" and all(name.count(":") == 1 for name in columns):
        return [_atomic_item(columns, fields) for _, fields in rows]
    if columns[:3] == ["SessionId", "ItemId", "CatId"]:
        return _category_items(path, rows)
    raise UnreadableFileError(
        path,
        f"unknown header {header[:80]!r}; expected JSON Lines of items, "
        "'item_id:token<TAB>...' or clicks with a CatId",
        line=1,
    )


def _json_item(path: Path, number: int, line: str) -> Item:
    try:
        return decode_item(line.encode())
    except InvalidEventError as e:
        raise UnreadableFileError(path, e, number) from e


def _atomic_item(columns: list[str], fields: list[str]) -> Item:
    title = ""
    categories: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    for column, value in zip(columns[1:], fields[1:], strict=False):
        name, kind = column.split(":")
        if "title" in name:
            title = value
        elif kind == "token_seq":
            categories = (*categories, *value.split())
        elif value:
            attributes[name] = value
    return Item(fields[0], categories=categories, attributes=attributes, title=title)


def _category_items(path: Path, rows: Sequence[tuple[int, list[str]]]) -> list[Item]:
    categories: dict[str, tuple[str, ...]] = {}
    for number, fields in rows:
        if len(fields) < 3:
            raise UnreadableFileError(path, "it has no CatId", number)
        _, item_id, category, *_ = fields
        if not categories.get(item_id):
            categories[item_id] = (category,) if category != "0" else ()
    return [Item(item_id, categories=names) for item_id, names in categories.items()]
