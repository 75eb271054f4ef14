"""From the rows of files to the catalogue: what is written, what is not, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cli.catalogues.held import HeldItems
from cli.catalogues.sending import Sender
from cli.errors import CommandError
from cli.figures import percent
from evaluation.errors import UnreadableFileError
from evaluation.item_files.reader import Block, ItemFile
from evaluation.item_files.report import ItemReport


@dataclass
class Written:
    """What became of the rows of files.

    Attributes
    ----------
    put, deleted
        Items that the server has taken, and deletions.
    unchanged
        Items that the catalogue has just so, where that is known.
    """

    put: int = 0
    deleted: int = 0
    unchanged: int = 0


def write_files(
    files: Iterable[ItemFile],
    sender: Sender,
    held: HeldItems | None = None,
    tick: Callable[[Written], None] = lambda _: None,
) -> Written:
    """Write the items of files, block by block, and return what became of them.

    Of several rows of an item the last one counts.

    Parameters
    ----------
    files
        The files; their reports then also have what the server has refused.
    sender
        Writes.
    held
        What the catalogue has: of that, nothing is written again. None: everything is.
    tick
        Takes what was written so far, after each call.

    Raises
    ------
    CommandError
        If a file turns out to be unreadable when rows of it, or of others, are written.
    """
    written = Written()
    for file in files:
        try:
            for block in file.blocks():
                _write(block, file.report, sender, held, written, tick)
        except UnreadableFileError as e:
            if not written.put + written.deleted:
                raise
            raise CommandError(
                f"{e}; what was read before that is written: {written.put:,} items were put, and "
                "none is deleted for being absent"
            ) from e
    return written


def _write(
    block: Block,
    report: ItemReport,
    sender: Sender,
    held: HeldItems | None,
    written: Written,
    tick: Callable[[Written], None],
) -> None:
    def refuse(line: int, reason: str) -> None:
        report.refuse(reason, line, block.text)

    latest = {item.item_id: (line, item) for line, item in block.rows}.values()
    puts = [row for row in latest if not row[1].deleted]
    deletions = [row for row in latest if row[1].deleted]
    if held is not None:
        changed = list(held.changed(puts))
        written.unchanged += len(puts) - len(changed)
        puts = changed
        deletions = [row for row in deletions if held.holds(row[1].item_id)]
        for item_id in block.refused:
            held.holds(item_id)
    for taken in sender.put(puts, refuse):
        written.put += taken
        tick(written)
    for taken in sender.delete(deletions, refuse):
        written.deleted += taken
        tick(written)


def why_withheld(missing: int, held: int, reports: Iterable[ItemReport], most: float) -> str:
    """Return why items that the files do not have must not be deleted; empty if they may be.

    Parameters
    ----------
    missing, held
        Items that the files do not have, of those that the catalogue had.
    reports
        What was read from the files.
    most
        The largest share of the catalogue that may be deleted, 0..1.

    >>> why_withheld(11, 100, [], 0.1)
    "the files do not have 11 of the catalogue's 100 items (11.00 %), and nothing was deleted: if \
they are whole, allow it with --max-deleted"
    >>> why_withheld(10, 100, [], 0.1)
    ''
    """
    if missing > most * held:
        return (
            f"the files do not have {missing:,} of the catalogue's {held:,} items "
            f"({percent(missing / held)}), and nothing was deleted: if they are whole, allow it "
            "with --max-deleted"
        )
    nameless = sum(report.nameless for report in reports)
    if missing and nameless:
        return (
            f"the files do not have {missing:,} of the catalogue's items, and rows that could not "
            f"be read ({nameless:,}) may be of any of these; nothing was deleted: correct the rows"
        )
    return ""
