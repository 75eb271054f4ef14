"""Errors that end a command with one clear line; `cli.sentences` has those of other rooms."""

from __future__ import annotations


class CommandError(Exception):
    """What went wrong and what to do; the command prints it and exits with 1."""
