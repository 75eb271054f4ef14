"""How the score job keeps ids: 4 bytes each, however long they are."""

from __future__ import annotations

from zlib import crc32


def id_hash(name: str) -> int:
    """Return the CRC-32 of an id, 1 where that is 0, which stands for none.

    Two of an answer's 20 items are taken for one another in one of 20 million answers.
    """
    return crc32(name.encode()) or 1
