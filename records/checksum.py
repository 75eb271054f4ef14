"""The checksum by which clicks are compared: whoever counts them adds up the same of each."""

from __future__ import annotations

import zlib

MODULUS = 1 << 64


def add_click(checksum: int, session_id: str, seq: int) -> int:
    """Return a checksum with a click added: the CRC-32 of ``<session_id>#<seq>``, modulo 2^64.

    >>> add_click(0, "s1", 2) == add_click(add_click(0, "s1", 2), "s1", 3) - add_click(0, "s1", 3)
    True
    """
    return (checksum + zlib.crc32(f"{session_id}#{seq}".encode())) % MODULUS
