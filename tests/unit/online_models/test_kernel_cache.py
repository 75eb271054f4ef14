"""Where numba finds the compiled kernels."""

from __future__ import annotations

import ast
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack.layout import PROJECT
from online_models import kernel_cache


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A package with compiled kernels, and a temporary folder."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    home = tmp_path / "models"
    home.mkdir()
    (home / "kernels.py").write_text("def f(): ...\n")
    return home


def shipped(home: Path) -> Path:
    """Compile a kernel, as the build of an image does; returns its file."""
    folder = kernel_cache(home) / "models"
    folder.mkdir(parents=True)
    index = folder / "f.nbi"
    index.write_bytes(b"index")
    return index


def test_kernels_are_beside_the_sources_under_the_name_of_these(home):
    """Kernels of a changed source would answer with the old machine code."""
    before = kernel_cache(home)
    (home / "kernels.py").write_text("def f(): return 1\n")
    assert before.parent == kernel_cache(home).parent == home / "__pycache__"
    assert kernel_cache(home) != before


def test_where_nothing_can_be_written_the_shipped_kernels_are_used(home, monkeypatch):
    """An image with a read-only root would compile for minutes at every start."""
    index = shipped(home)
    monkeypatch.setattr(os, "access", lambda *_: False)
    folder = kernel_cache(home)
    found = folder / "models" / index.name
    assert not folder.is_relative_to(home)
    assert found.resolve() == index
    # numba replaces an index that gets another kernel: in the temporary folder alone.
    (folder / "new").write_bytes(b"longer")
    (folder / "new").replace(found)
    assert kernel_cache(home) == folder
    assert (found.read_bytes(), index.read_bytes()) == (b"longer", b"index")


def test_a_process_that_comes_second_takes_the_links_of_the_first(home, monkeypatch):
    """Workers of a container start together."""
    index = shipped(home)
    monkeypatch.setattr(os, "access", lambda *_: False)
    exists = Path.exists
    first = kernel_cache(home)
    (first / "of the first").touch()
    monkeypatch.setattr(Path, "exists", lambda path: path != first and exists(path))
    assert kernel_cache(home) == first
    assert (first / "of the first").is_file()
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    assert (first / "models" / index.name).is_symlink()


def constants_of_kernels(path: Path) -> set[str]:
    """The names in capitals that a module's compiled functions use."""
    kernels = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and any("njit" in ast.unparse(d) for d in node.decorator_list)
    ]
    return {
        node.id
        for kernel in kernels
        for node in ast.walk(kernel)
        if isinstance(node, ast.Name) and node.id.isupper()
    }


def patched_constants(path: Path) -> Iterator[tuple[str, str]]:
    """What a test sets for its time: module of ours, and name."""
    tree = ast.parse(path.read_text())
    modules = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
            target, *rest = (ast.unparse(arg).strip("'\"") for arg in node.args)
            name = rest[0] if len(rest) > 1 else target.rpartition(".")[2]
            module = modules.get(target, target) if len(rest) > 1 else target.rpartition(".")[0]
            yield module, name


def test_no_test_changes_what_is_compiled_into_kernels():
    """A kernel that is compiled meanwhile would be kept, with the test's number, for everybody."""
    patched = {
        (module, name)
        for path in (PROJECT / "tests").rglob("*.py")
        for module, name in patched_constants(path)
        if module.startswith("online_models")
    }
    assert patched
    for module, name in patched:
        path = PROJECT.joinpath(*module.split(".")).with_suffix(".py")
        assert not path.exists() or name not in constants_of_kernels(path), (module, name)
    assert "LEARN_FROM_CLICK" in constants_of_kernels(
        PROJECT / "online_models" / "learners" / "click.py"
    )
