"""The models: pure computation, state in and state out; no I/O (but for snapshots) and no clock.

Compiled kernels are cached in a folder whose name is a hash of the package's sources. numba itself
only checks the file that holds a kernel: after a change to a constant or helper in another file, it
would keep running the old machine code.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import numba

HOME = Path(__file__).parent


def kernel_cache(home: Path = HOME) -> Path:
    """Return the folder of the compiled kernels of the sources in a folder.

    It is beside them where that can be written to. Elsewhere, as in a container, it is a temporary
    one: numba uses no folder that it cannot write to, so it gets links to the kernels that come
    with the sources.
    """
    sources = hashlib.blake2b(digest_size=8)
    for file in sorted(home.rglob("*.py")):
        sources.update(str(file.relative_to(home)).encode() + file.read_bytes())
    beside = home / "__pycache__" / f"kernels-{sources.hexdigest()}"
    try:
        beside.parent.mkdir(exist_ok=True)
        writable = os.access(beside.parent, os.W_OK)
    except OSError:
        writable = False
    if writable:
        return beside
    elsewhere = Path(tempfile.gettempdir()) / beside.name
    if beside.is_dir() and not elsewhere.exists():
        with tempfile.TemporaryDirectory() as folder:  # other processes may do the same
            links = shutil.copytree(beside, Path(folder) / beside.name, copy_function=os.symlink)
            with contextlib.suppress(OSError):  # another one was first
                links.rename(elsewhere)
    return elsewhere


numba.config.CACHE_DIR = str(kernel_cache())
