"""The score job, by itself; see `streaming.jobs.learners`."""

from __future__ import annotations

from streaming.jobs.learners import main

if __name__ == "__main__":
    main(("score",))
