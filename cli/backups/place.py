"""Where backups lie: a folder, or storage that speaks S3. Each backup is a folder of two files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

from pyarrow import fs

from cli.errors import CommandError

NAME = re.compile(r"backup-\d{8}T\d{6}Z")
"""A backup's folder: when it was begun, in UTC, so that names are in the order of time."""

S3 = "s3://"

ENDPOINT = "AWS_ENDPOINT_URL"
"""The variable that all tools of S3 share: where the storage is, if it is not Amazon's."""

OF_S3 = (
    f"{ENDPOINT} says where the storage is, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY who asks, "
    "AWS_REGION in which region"
)

CONNECT_S, ANSWER_S = 10, 60
"""Longest waits for a connection to the storage, and for an answer; each is tried three times."""


def name_at(time_s: float) -> str:
    """Return the name of a backup that is begun at a time.

    >>> name_at(1_764_313_530.4)
    'backup-20251128T070530Z'
    """
    return f"backup-{datetime.fromtimestamp(time_s, UTC):%Y%m%dT%H%M%SZ}"


class Place:
    """A folder of backups, local or in S3.

    Parameters
    ----------
    where
        A folder, or ``s3://BUCKET/PREFIX``.

    Raises
    ------
    CommandError
        If it is neither.
    """

    def __init__(self, where: str) -> None:
        self._where = where.rstrip("/") or where
        self._remote = where.startswith(S3)
        if self._remote:
            self._root = where.removeprefix(S3).strip("/")
            if not self._root:
                raise CommandError(f"{where} names no bucket; write s3://BUCKET/PREFIX")
        elif not where or "://" in where or where.startswith("s3:"):
            raise CommandError(
                f"{where or 'an empty name'} is no place for backups; give a folder, or s3://BUCKET/PREFIX"
            )
        else:
            self._root = str(Path(where).absolute())
        with self._told():
            self._files = _s3() if self._remote else fs.LocalFileSystem()

    def __str__(self) -> str:
        return self._where

    def names(self) -> list[str]:
        """Return the names of all backups, whole or not, the oldest first."""
        inside = fs.FileSelector(self._root, allow_not_found=True)
        with self._told():
            found = [file.base_name for file in self._files.get_file_info(inside)]
        return sorted(name for name in found if NAME.fullmatch(name))

    @contextmanager
    def writing(self, backup: str, file: str) -> Iterator[IO[bytes]]:
        """Open a file of a backup to write it; it is on the disk, or in the storage, afterwards."""
        with self._told():
            if not self._remote:
                self._files.create_dir(f"{self._root}/{backup}", recursive=True)
            path = f"{self._root}/{backup}/{file}"
            # By default, pyarrow packs a file once more whose name ends in .zst.
            with self._files.open_output_stream(path, compression=None) as out:
                yield cast("IO[bytes]", out)
            if not self._remote:
                _sync(Path(path))
                _sync(Path(self._root, backup))

    def has(self, backup: str, file: str) -> bool:
        """Whether a file of a backup is there."""
        with self._told():
            found = self._files.get_file_info(f"{self._root}/{backup}/{file}")
        return bool(found.type == fs.FileType.File)

    @contextmanager
    def reading(self, backup: str, file: str) -> Iterator[IO[bytes]]:
        """Open a file of a backup to read it.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        with self._told():
            path = f"{self._root}/{backup}/{file}"
            if self._files.get_file_info(path).type != fs.FileType.File:
                raise FileNotFoundError(2, "there is no such file", f"{self}/{backup}/{file}")
            with self._files.open_input_stream(path, compression=None) as stream:
                yield cast("IO[bytes]", stream)

    def remove(self, backup: str, first: str) -> None:
        """Remove a backup.

        Parameters
        ----------
        backup
            Its name.
        first
            The file that makes it whole: without it, an interrupted removal leaves no backup.
        """
        folder = f"{self._root}/{backup}"
        with self._told():
            for path, remove in (
                (f"{folder}/{first}", self._files.delete_file),
                (folder, self._files.delete_dir),
            ):
                if self._files.get_file_info(path).type != fs.FileType.NotFound:
                    remove(path)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what to do about an error of the storage; those of files here need their place."""
        try:
            yield
        except OSError as e:
            if e.errno is None and self._remote:
                raise CommandError(f"{self}: {e}; {OF_S3}") from e
            if e.errno is None or e.filename is not None:
                raise
            raise OSError(e.errno, os.strerror(e.errno), self._root) from e


def _s3() -> Any:
    endpoint = os.environ.get(ENDPOINT, "")
    address = urlsplit(endpoint)
    if endpoint and not address.netloc:
        raise CommandError(f"{ENDPOINT} is {endpoint!r}; write http://HOST:PORT or https://HOST")
    return fs.S3FileSystem(
        endpoint_override=address.netloc or None,
        scheme=address.scheme or None,
        connect_timeout=CONNECT_S,
        request_timeout=ANSWER_S,
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
