"""The log of a process: lines on standard error, JSON or text, without personal data.

Ids of sessions and users are personal: they are in lines of level DEBUG alone, and so are the texts
of exceptions, which may quote a request or a record. Ids of items, events and answers are not.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from settings.base import ProcessSettings

OURS = "nextclick"
"""The logger of which all of ours are children; the setting is for its level."""

AUDIT = "nextclick.audit"
"""The logger of administrative calls, whose lines are written whatever the level."""

NAMES = ("request", "trace", "event", "session", "caller")
"""What a line may say of the call that it is about, as ``extra``: the id of the answer, or of a
call that failed; of its trace; of an event; of a session (DEBUG only); the name of its token."""


class Lines(logging.Formatter):
    """Formats each record as one line.

    Parameters
    ----------
    role
        What the process is.
    tenant
        Whom it serves.
    """

    def __init__(self, role: str, tenant: str) -> None:
        super().__init__()
        self._process = {"role": role, "tenant": tenant} if tenant else {"role": role}

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return what the line of a record says, by name."""
        at = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            **self._process,
            "message": record.getMessage(),
        }
        line |= {name: value for name in NAMES if (value := getattr(record, name, ""))}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = told(record.exc_info[1], with_texts=in_full())
        return line


class JsonLines(Lines):
    """Formats each record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return json.dumps(self.fields(record))


class TextLines(Lines):
    """Formats each record as a line for people; a traceback follows in lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        fields = self.fields(record)
        head = " ".join(fields.pop(name) for name in ("time", "level", "logger"))
        message, exception = fields.pop("message"), fields.pop("exception", "")
        more = "".join(f" {name}={value}" for name, value in fields.items())
        return f"{head} {message}{more}" + (f"\n{exception}" if exception else "")


FORMATS: dict[str, type[Lines]] = {"json": JsonLines, "text": TextLines}


def log_to_stderr(role: str, settings: ProcessSettings) -> None:
    """Send the log of this process to standard error, as the settings say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMATS[settings.log_format](role, settings.tenant))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger(OURS).setLevel(settings.log_level.upper())
    logging.getLogger(AUDIT).setLevel(logging.INFO)


def in_full() -> bool:
    """Whether lines may have personal data."""
    return logging.getLogger(OURS).isEnabledFor(logging.DEBUG)


def told(error: BaseException, with_texts: bool) -> str:
    """Return an exception and its causes: their places and types, and their texts where allowed.

    What the system itself says, such as a full disk, is personal to nobody.
    """
    if with_texts:
        return "".join(traceback.format_exception(error)).rstrip()
    return "\n".join(reversed(list(_without_texts(error))))


def _without_texts(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        places = "".join(traceback.format_tb(error.__traceback__))
        said = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        yield f"{places}{type(error).__qualname__}{said}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
