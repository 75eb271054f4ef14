"""Command lines in this process, in a folder of made files, with or without a stack."""

import sys

import pytest

from cli import console, interrupt, main
from cli.stack.layout import Home, Ports
from cli.stack.stack import Stack
from tests.unit.cli.mistakes import FILES, WIDTH


@pytest.fixture
def mistaken(monkeypatch, tmp_path, capsys):
    """A function that runs ``nextclick`` in a terminal of 80 columns: exit code, what it says."""
    for name, raw in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(raw)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interrupt, "install", lambda: None)
    monkeypatch.setattr(console.err, "_force_terminal", True)
    monkeypatch.setattr(console.err, "width", WIDTH)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["nextclick", *words])
        with pytest.raises(SystemExit) as end:
            main.main()
        code, (printed, said) = end.value.code, capsys.readouterr()
        assert not (code and printed), "a script would take it for the result"
        return code, said

    return run


@pytest.fixture
def home(tmp_path):
    """A stack's folder."""
    return Home(tmp_path / "home")


@pytest.fixture
def pretended(monkeypatch):
    """Pretends that a stack runs in the folder."""
    ports = Ports.free()
    running = classmethod(lambda _, home: Stack(Home(home.absolute()), ports, bound=False))
    monkeypatch.setattr(Stack, "in_folder", running)
