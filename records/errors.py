"""The error that decoders raise."""

from __future__ import annotations


class RecordError(ValueError):
    """A record that cannot be used.

    Parameters
    ----------
    field
        Name of the invalid field, "record" if the bytes are not such a message at all.
    wrong
        What is wrong with it.
    """

    def __init__(self, field: str, wrong: str) -> None:
        self.field = field
        super().__init__(f"{field}: {wrong}")
