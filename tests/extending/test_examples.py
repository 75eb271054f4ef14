"""Every example of docs/extending.md works: all of them are applied to one copy of the code.

The copy is compiled once, in a process of its own, which runs `proofs.py` there.
"""

import ast
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.extending.document import promised, sections

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TEXT = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = sections(TEXT)

PROOFS = [
    node.name
    for node in ast.parse((HERE / "proofs.py").read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
]
LIMIT_S = 1_200
"""For two to three minutes of compilation, on a machine that does other things too."""

pytestmark = pytest.mark.timeout(LIMIT_S + 60)


def run(copy, *args):
    path = os.pathsep.join([str(copy), str(copy / "proto")])
    return subprocess.run(
        [sys.executable, *args],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The code with all examples."""
    folder = tmp_path_factory.mktemp("extended") / "nextclick"
    unneeded = shutil.ignore_patterns(".*", "target", "__pycache__", "*.gz", "docs")
    shutil.copytree(ROOT, folder, ignore=unneeded)
    for blocks in SECTIONS.values():
        for block in blocks:
            block.apply(folder)
    ordered = run(folder, "-m", "ruff", "check", "--quiet", "--select", "I", "--fix", ".")
    assert ordered.returncode == 0, ordered.stdout + ordered.stderr
    generated = run(folder, "proto/generate.py")
    assert generated.returncode == 0, generated.stdout + generated.stderr
    return folder


@pytest.fixture(scope="module")
def failures(copy):
    """What each proof that failed says, by its name."""
    report = copy / "report.xml"
    finished = run(copy, "-m", "pytest", "tests/extending/proofs.py", f"--junitxml={report}")
    assert report.exists(), finished.stdout + finished.stderr
    cases = {case.get("name"): case for case in ET.parse(report).iter("testcase")}
    assert set(cases) == set(PROOFS), finished.stdout
    return {
        name: "\n".join(fault.text or "" for fault in case)
        for name, case in cases.items()
        if case.find("failure") is not None or case.find("error") is not None
    }


def test_the_table_names_all_files_that_an_example_changes():
    """If it failed, adding something would take more places than promised."""
    changed = {
        title: {block.file for block in blocks if block.kind == "diff"}
        for title, blocks in SECTIONS.items()
    }
    assert changed == promised(TEXT)


def test_each_example_is_for_the_files_as_they_are(tmp_path):
    """If it failed, one example could only be applied after another."""
    for title, blocks in SECTIONS.items():
        for block in blocks:
            target = tmp_path / title / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            if block.kind == "diff" and not target.exists():
                shutil.copy(ROOT / block.file, target)
        for block in blocks:
            block.apply(tmp_path / title)


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=" ".join)
def test_examples_read_like_the_rest_of_the_code(copy, command):
    """If it failed, the examples would teach another style."""
    files = {b.file for blocks in SECTIONS.values() for b in blocks if b.file.endswith(".py")}
    finished = run(copy, "-m", "ruff", *command, *sorted(files))
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("name", PROOFS)
def test_example(failures, name):
    """If it failed, who follows the documentation would get something that does not work."""
    assert name not in failures, failures[name]
