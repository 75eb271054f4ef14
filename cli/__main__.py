"""Loads the command ``nextclick``, which takes seconds, and runs it."""

from __future__ import annotations

from cli import interrupt


def main() -> None:
    """Load and run the command; either can be interrupted.

    Raises
    ------
    SystemExit
        If the packages that it needs are not installed.
    """
    interrupt.end_at_once()
    from nextclick.extras import missing  # noqa: PLC0415 - from here on, it can be interrupted

    if lacking := missing("cli"):
        raise SystemExit(lacking)
    from cli.main import main as run  # noqa: PLC0415 - it imports those packages

    run()


if __name__ == "__main__":
    main()
