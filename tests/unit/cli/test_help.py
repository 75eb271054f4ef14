"""The examples in ``--help``: they are what people copy."""

import shlex
import subprocess
import sys

import pytest
import typer

from cli.main import app
from tests.command import ENVIRONMENT


def commands(command, path=()):
    """Every command below one, with its words."""
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from commands(child, (*path, name))
    else:
        yield path, command


COMMANDS = dict(commands(typer.main.get_command(app)))
FILES = ("clicks.txt.gz", "clicks.csv.gz", "train.txt.gz", "valid.txt.gz", "test.txt.gz")
EXAMPLES = {path: [] for path in COMMANDS}
for path, command in COMMANDS.items():
    paragraphs = [" ".join(text.split()) for text in command.help.split("\n\n")]
    EXAMPLES[path] = [text for text in paragraphs if text.startswith("nextclick ")]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_that_it_takes(path, tmp_path, monkeypatch):
    """An option that was renamed would live on in the help, and fail whoever copies it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path.parent / "data").mkdir(exist_ok=True)
    for file in FILES:
        (tmp_path / file).touch()
    assert EXAMPLES[path], "no example"
    for example in EXAMPLES[path]:
        _, *words = shlex.split(example)
        assert tuple(words[: len(path)]) == path
        COMMANDS[path].make_context(example, words[len(path) :])


def test_a_shell_completes_commands():
    """`nextclick --install-completion` installs it; the shell then asks the command itself."""
    asked = {
        "_NEXTCLICK_COMPLETE": "complete_bash",
        "COMP_WORDS": "nextclick sta",
        "COMP_CWORD": "1",
    }
    code = "import sys; sys.argv = ['nextclick']; from cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **asked},
        check=False,
    )
    assert done.stdout.split() == ["status"], done.stderr
