"""The text of a file: plain, gzip or zstd; UTF-8, or UTF-16 with a byte-order mark."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import zstandard

from evaluation.errors import UnreadableFileError

GZIP, PARQUET = b"\x1f\x8b", b"PAR1"
ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
"""How a frame begins: with data, or one to skip, as pzstd writes them."""

BLOCK_BYTES = 8 << 20
"""A block of text as files are read in."""

READ_BYTES = 64 << 10
"""What is read of a file at once; packed, it may become some thousand times as much."""

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
    """Return the whole text of a file; see `text_blocks`."""
    return "".join(text_blocks(path, strict=strict))


def text_blocks(path: Path, *, strict: bool = False, size: int = BLOCK_BYTES) -> Iterator[str]:
    """Yield the text of a file in blocks of whole lines, without a byte-order mark.

    Lines end with line feeds, whatever ended them in the file.

    Parameters
    ----------
    path
        The file.
    strict
        Whether bytes that are not UTF-8 are an error; if not, U+FFFD stands in their place.
    size
        About as many bytes of text make a block; a longer line is one.

    Raises
    ------
    UnreadableFileError
        If the file is not text, or is broken: at the block where that shows.
    """
    try:
        yield from _lines(_decoded(path, _gathered(_unpacked(path), size), strict))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, zstandard.ZstdError) as e:
        raise UnreadableFileError(path, e) from e


def text_of(path: Path) -> io.StringIO:
    """Return the text of a file as a file of lines.

    Raises
    ------
    UnreadableFileError
        If the file is not text, or is broken.
    """
    return io.StringIO(read_text(path))


def _lines(texts: Iterator[str]) -> Iterator[str]:
    """Yield texts anew, cut where lines end, with line feeds there."""
    end, rest = "", ""
    for text in texts:
        if not end:
            end = "\r" if "\r" in text and "\n" not in text else "\n"
        whole, cut, after = text.rpartition(end)
        if cut:
            yield _fed(rest + whole + cut, end)
            rest = after
        else:
            rest += text
    if rest:
        yield _fed(rest, end)


def _fed(text: str, end: str) -> str:
    return text.replace("\r\n" if end == "\n" else end, "\n") if "\r" in text else text


def _decoded(path: Path, blocks: Iterator[bytes], strict: bool) -> Iterator[str]:
    first = next(blocks, b"")
    if first.startswith(UTF_32):
        raise UnreadableFileError(path, "it is UTF-32; save it as UTF-8")
    encoding = "utf-16" if first[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    if encoding == "utf-8-sig" and b"\0" in first[:100_000]:
        raise UnreadableFileError(
            path, "it is not text in UTF-8, or in UTF-16 with a byte-order mark"
        )
    decoder = codecs.getincrementaldecoder(encoding)("strict" if strict else "replace")
    for block in chain([first], blocks):
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _gathered(parts: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield parts joined to blocks of at least ``size`` bytes, the last one excepted."""
    block = bytearray()
    for part in parts:
        block += part
        if len(block) >= size:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _unpacked(path: Path) -> Iterator[bytes]:
    form = packing(path)
    if form == "parquet":
        raise UnreadableFileError(path, "it is a Parquet file, which holds no text")
    with path.open("rb") as file:
        if form == "zstd":
            yield from _unpacked_zstd(file)
            return
        source = gzip.GzipFile(fileobj=file) if form == "gzip" else file
        while part := source.read(READ_BYTES):
            yield part


def _unpacked_zstd(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of all frames; one that broke off is an error, as in gzip."""
    left = file.read(READ_BYTES)
    while left:
        frame = zstandard.ZstdDecompressor().decompressobj()
        while not frame.eof:
            if not left:
                raise EOFError("the file ends within a zstd frame")
            yield frame.decompress(left)
            left = frame.unused_data if frame.eof else file.read(READ_BYTES)
        left = left or file.read(READ_BYTES)
