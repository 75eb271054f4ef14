"""One file for all files of a backup: a tar, compressed with zstd, and a checksum of each file."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import zstandard

from cli.errors import CommandError

CHUNK_BYTES = 1 << 20


class Entry(NamedTuple):
    """A file to back up.

    Parameters
    ----------
    name
        Its place in the backup, a relative path.
    path
        Where it lies.
    size
        Its bytes, from the beginning: what was appended later is left out.
    """

    name: str
    path: Path
    size: int


class Held(NamedTuple):
    """What a backup holds of a file: its bytes, and their SHA-256 in hexadecimal digits."""

    size: int
    sha256: str


class DamagedError(CommandError):
    """A backup is not as it was written."""


class _Hashing(io.RawIOBase):
    """Reads a stream and hashes what is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self.hash.update(block)
        return block


def write(entries: Iterable[Entry], out: IO[bytes]) -> dict[str, Held]:
    """Write files as one; return what is held of each.

    Raises
    ------
    CommandError
        If a file has become shorter.
    """
    held: dict[str, Held] = {}
    compressor = zstandard.ZstdCompressor()
    with (
        compressor.stream_writer(out, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|", bufsize=CHUNK_BYTES) as tar,
    ):
        for entry in entries:
            member = tarfile.TarInfo(entry.name)
            member.size = entry.size
            with entry.path.open("rb") as file:
                hashing = _Hashing(file)
                try:
                    tar.addfile(member, hashing)
                except OSError as e:
                    if os.fstat(file.fileno()).st_size >= entry.size:
                        raise
                    raise CommandError(
                        f"{entry.path} has become shorter while it was read; back up again"
                    ) from e
            held[entry.name] = Held(entry.size, hashing.hash.hexdigest())
    return held


def extract(stream: IO[bytes], folder: Path, files: Mapping[str, Held]) -> None:
    """Write the files of a backup into an empty folder, and check each.

    Parameters
    ----------
    stream
        What `write` has written.
    folder
        Where to.
    files
        What `write` has returned.

    Raises
    ------
    DamagedError
        If a file is not as it was, or not there.
    """
    missing = set(files)
    try:
        with (
            zstandard.ZstdDecompressor().stream_reader(stream, closefd=False) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|", bufsize=CHUNK_BYTES) as tar,
        ):
            for member in tar:
                if member.name not in missing:
                    raise DamagedError(f"{member.name} is not among the files of this backup")
                missing.remove(member.name)
                _extract(tar, member, folder, files[member.name])
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as e:
        raise DamagedError(f"its archive is damaged: {e}") from e
    if missing:
        raise DamagedError(f"{min(missing)} is not in its archive")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, held: Held) -> None:
    place = PurePosixPath(member.name)
    source: Any = tar.extractfile(member)
    if place.is_absolute() or ".." in place.parts or source is None:
        raise DamagedError(f"{member.name} is no file of a backup")
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    hashing = _Hashing(source)
    try:
        with path.open("xb") as out:
            while block := hashing.read(CHUNK_BYTES):
                out.write(block)
            size = out.tell()
    except OSError as e:
        if e.errno is None or e.filename is not None:  # of the storage, or told already
            raise
        raise OSError(e.errno, os.strerror(e.errno), str(path)) from e
    if Held(size, hashing.hash.hexdigest()) != held:
        raise DamagedError(f"{member.name} is not as it was")
