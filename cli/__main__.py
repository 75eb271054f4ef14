"""Loads the command ``nextclick``, which takes seconds, and runs it."""

from __future__ import annotations

from cli import interrupt


def main() -> None:
    """Load and run the command; either can be interrupted."""
    interrupt.end_at_once()
    from cli.main import main as run  # noqa: PLC0415 - what comes before can be interrupted

    run()


if __name__ == "__main__":
    main()
