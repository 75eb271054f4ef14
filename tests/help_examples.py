"""The examples in the help of the command line."""

import shlex

import typer

from cli.main import app

FILES = (
    "clicks.txt.gz", "clicks.csv.gz", "train.txt.gz", "valid.txt.gz", "test.txt.gz", "items.csv.gz",
    "new.toml",
)  # fmt: skip
"""Files of clicks and items, and a policy, that they name."""


def commands(command, path=()):
    """Every command below one, with its words."""
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from commands(child, (*path, name))
    else:
        yield path, command


COMMANDS = dict(commands(typer.main.get_command(app)))


def examples(path):
    """The examples of a command, a line each."""
    paragraphs = [" ".join(text.split()) for text in COMMANDS[path].help.split("\n\n")]
    return [text for text in paragraphs if text.startswith("nextclick ")]


def words_of(path):
    """The words of a command's only example, as arguments of ``nextclick``."""
    (example,) = examples(path)
    return shlex.split(example)[1:]
