"""Native load clients, compiled on demand: one in Python would mostly measure itself."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cli.errors import CommandError

GRPC, HTTP = (Path(__file__).with_name(f"{name}_load.c") for name in ("grpc", "http"))
"""Their sources; both take the same arguments."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of the client measured: microseconds of each call, and calls without answer."""

    us: NDArray[np.float64]
    errors: int


def client(folder: Path, source: Path = GRPC) -> Path | None:
    """Return a client's program, compiled into a folder; None without a compiler."""
    digest = hashlib.blake2b(source.read_bytes(), digest_size=6).hexdigest()
    program = folder / f"{source.stem}-{digest}"
    if program.exists():
        return program
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    built = folder / f"{program.name}.new"
    argv = [compiler, "-O2", "-o", str(built), str(source)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(f"the load client does not compile:\n{done.stderr}")
    built.rename(program)
    return program


def write_requests(path: Path, requests: Sequence[bytes]) -> None:
    """Write serialised requests for the client to send in turn."""
    path.write_bytes(b"".join(struct.pack("<I", len(raw)) + raw for raw in requests))


def run(
    program: Path,
    target: str,
    method: str,
    requests: Path,
    seconds: float,
    rate: float = 0,
    token: Path | None = None,
) -> Load:
    """Send requests for ``seconds``: one after another, or ``rate`` a second (open loop).

    They carry the token of a file, if one is given.
    """
    host, port = target.rsplit(":", 1)
    argv = [str(program), host, port, method, str(requests), str(seconds), str(rate)]
    argv += [str(token)] if token else []
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=seconds + 30)
    lines = done.stdout.split("\n")
    if done.returncode or len(lines) < 2 or not lines[-2].startswith("errors "):
        raise CommandError(f"the load client failed: {done.stderr.strip() or done.stdout[-200:]}")
    return Load(np.array(lines[:-2], np.float64), int(lines[-2].split()[1]))
