"""How far an import is: kept in the stack's folder, by the content of the files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.errors import CommandError
from cli.stack.layout import IMPORTS, Home
from evaluation.click_files.columns import Columns
from nextclick.limits import MAX_EVENT_IDS


@dataclass
class ImportRecord:
    """The clicks of an import that the broker has acknowledged, the first ones of its order.

    Attributes
    ----------
    path
        The record's file.
    acknowledged
        How many of them.
    """

    path: Path
    acknowledged: int = 0

    @classmethod
    def of(
        cls,
        home: Home,
        files: Sequence[Path],
        columns: Columns,
        prefix: str,
        tenant: str = "",
        kafka: str | None = None,
    ) -> ImportRecord:
        """Return the record of an import: what an earlier run has written, or an empty one.

        ``kafka``: where it goes, if that is not the folder's stack.

        Raises
        ------
        CommandError
            If it is damaged.
        """
        where = (tenant, kafka) if kafka is not None else (tenant,) if tenant else ()
        told = (columns, prefix, *where)
        identity = hashlib.sha256(repr(told).encode())
        for path in files:
            with path.open("rb") as file:
                identity.update(hashlib.file_digest(file, "sha256").digest())
        path = home.path(IMPORTS) / f"{identity.hexdigest()[:16]}.json"
        try:
            return cls(path, int(json.loads(path.read_text())["acknowledged"]))
        except FileNotFoundError:
            return cls(path)
        except (ValueError, KeyError, TypeError) as e:
            raise CommandError(
                f"{path} does not say how far the import is; delete it: then all clicks are sent. "
                "Of those that were sent before, the jobs drop what is of the last 48 hours and of "
                f"sessions of at most {MAX_EVENT_IDS} clicks, and learn the others again"
            ) from e

    def write(self, acknowledged: int) -> None:
        """Note how many clicks the broker has; a kill leaves the number of before or this one."""
        self.acknowledged = acknowledged
        new = self.path.with_suffix(".new")
        with new.open("w") as file:
            json.dump({"acknowledged": acknowledged}, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
