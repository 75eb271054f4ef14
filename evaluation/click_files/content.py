"""The text of a file: plain, gzip or zstd; UTF-8, or UTF-16 with a byte-order mark."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from pathlib import Path

import zstandard

from evaluation.errors import UnreadableFileError

GZIP, PARQUET = b"\x1f\x8b", b"PAR1"
ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
"""How a frame begins: with data, or one to skip, as pzstd writes them."""

UTF_32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save it as CSV",
    b"BZh": "packed with bzip2; unpack it, or pack it with gzip or zstd",
    b"\xfd7zXZ": "packed with xz; unpack it, or pack it with gzip or zstd",
    b"ARROW1": "an Arrow file; save it as Parquet",
    b"ORC": "an ORC file; save it as Parquet",
}


def packing(path: Path) -> str:
    """Return ``parquet``, ``gzip``, ``zstd``, or an empty string, by the first bytes of a file.

    Raises
    ------
    UnreadableFileError
        If it cannot be opened, or is of a format that is known but not read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as e:
        raise UnreadableFileError(path, e.strerror or e) from e
    for magic, what in OTHER_FORMATS.items():
        if head.startswith(magic):
            raise UnreadableFileError(path, f"it is {what}")
    if ZSTD.match(head):
        return "zstd"
    if head.startswith(GZIP):
        return "gzip"
    return "parquet" if head.startswith(PARQUET) else ""


def read_text(path: Path, *, strict: bool = True) -> str:
    """Return the whole text of a file, without a byte-order mark, with line feeds at its line ends.

    Parameters
    ----------
    path
        The file.
    strict
        Whether bytes that are not UTF-8 are an error; if not, U+FFFD stands in their place.

    Raises
    ------
    UnreadableFileError
        If the file is not text, or is broken.
    """
    try:
        raw = _unpacked(path)
        if raw.startswith(UTF_32):
            raise UnreadableFileError(path, "it is UTF-32; save it as UTF-8")
        encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        if encoding == "utf-8-sig" and b"\0" in raw[:100_000]:
            raise UnreadableFileError(
                path, "it is not text in UTF-8, or in UTF-16 with a byte-order mark"
            )
        text = raw.decode(encoding, "strict" if strict else "replace")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, zstandard.ZstdError) as e:
        raise UnreadableFileError(path, e) from e
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\n" not in text:
            text = text.replace("\r", "\n")
    return text


def text_of(path: Path) -> io.StringIO:
    """Return the text of a file as a file of lines.

    Raises
    ------
    UnreadableFileError
        If the file is not text, or is broken.
    """
    return io.StringIO(read_text(path))


def _unpacked(path: Path) -> bytes:
    form = packing(path)
    if form == "parquet":
        raise UnreadableFileError(path, "it is a Parquet file, which holds no text")
    if form == "gzip":
        with gzip.open(path) as file:
            return file.read()
    if form == "zstd":
        return _unpacked_zstd(path)
    return path.read_bytes()


def _unpacked_zstd(path: Path) -> bytes:
    """Return the content of all frames; one that broke off is an error, as in gzip."""
    left, parts = path.read_bytes(), []
    while left:
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(left))
        if not frame.eof:
            raise EOFError("the file ends within a zstd frame")
        left = frame.unused_data
    return b"".join(parts)
