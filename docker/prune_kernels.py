"""Removes those compiled kernels from an image that its program does not load when it starts.

``python docker/prune_kernels.py server | jobs``, after they have been compiled. A kernel that is
only called by others is part of their machine code, and numba looks at its own file no more: this
is two thirds of what it writes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numba
from numba.core.caching import IndexDataCacheFile

from online_models.engine import warm_up

WARM_UPS = {
    "server": lambda: warm_up.warm_up(remote=True),
    "jobs": warm_up.warm_up_learners,
}


class Loaded:
    """The files of the cache that have been loaded since it was made."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        load = IndexDataCacheFile._load_data

        def noted(cache: IndexDataCacheFile, name: str) -> object:
            self.paths |= {Path(cache._index_path), Path(cache._data_path(name))}
            return load(cache, name)

        IndexDataCacheFile._load_data = noted


def main() -> None:
    """Remove what is not needed, and say how much that is."""
    loaded = Loaded()
    WARM_UPS[sys.argv[1]]()
    removed = 0
    for path in Path(numba.config.CACHE_DIR).rglob("*.nb[ic]"):
        if path not in loaded.paths:
            removed += path.stat().st_size
            path.unlink()
    print(f"removed {removed / 1e6:.0f} MB of kernels, kept {len(loaded.paths)} files")


if __name__ == "__main__":
    main()
