"""The models: pure computation, state in and state out; no I/O (but for snapshots) and no clock.

Compiled kernels are cached in a folder whose name is a hash of the package's sources. numba itself
only checks the file that holds a kernel: after a change to a constant or helper in another file, it
would keep running the old machine code.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import numba


def _cache_folder() -> str:
    home = Path(__file__).parent
    sources = hashlib.blake2b(digest_size=8)
    for file in sorted(home.rglob("*.py")):
        sources.update(str(file.relative_to(home)).encode() + file.read_bytes())
    name = f"kernels-{sources.hexdigest()}"
    here = home / "__pycache__"
    try:
        here.mkdir(exist_ok=True)
        writable = os.access(here, os.W_OK)
    except OSError:
        writable = False
    return str((here if writable else Path(tempfile.gettempdir())) / name)


numba.config.CACHE_DIR = _cache_folder()
