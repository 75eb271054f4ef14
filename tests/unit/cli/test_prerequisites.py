"""What `make setup` cannot install is told in one line, with what to install."""

import shutil
import subprocess
import sys

import pytest

from cli.stack.layout import PROJECT

SCRIPT = PROJECT / "cli" / "prerequisites.sh"
MAVEN = "echo 'Apache Maven 3.8.7'; echo 'Java version: {}, vendor: Debian'"
WHOLE = {
    "python3.11": f'exec {sys.executable} "$@"',
    "c++": "true",
    "mvn": MAVEN.format("17.0.17"),
    "setpriv": "true",
}
"""What a machine has that lacks nothing: a program, and what it does."""

OLD = 'case "$*" in *version*) echo "Python 3.9.2";; *) echo 3.9;; esac'
MISSING = {
    "no Python": ({"python3.11": None}, "needs Python 3.11 (found: none). Install Python 3.11"),
    "an old Python": (
        {"python3.11": None, "python3": OLD},
        "needs Python 3.11 (found: Python 3.9.2). Install Python 3.11",
    ),
    "no venv": (
        {"python3.11": f'case "$*" in *ensurepip*) exit 1;; *) exec {sys.executable} "$@";; esac'},
        "needs Python's venv module ... python3.11-venv",
    ),
    "no compiler": ({"c++": None}, "needs a C++ compiler (found: none). Install g++"),
    "no setpriv": ({"setpriv": None}, "needs setpriv (found: none). Install util-linux"),
    "no Maven": ({"mvn": None}, "needs Maven (found: none). Install maven"),
    "an old Java": (
        {"mvn": MAVEN.format("11.0.2")},
        "needs a JDK 17 for Maven (found: Java 11). Install openjdk-17-jdk ... JAVA_HOME",
    ),
}


@pytest.fixture
def run(tmp_path):
    """A function that runs the script on a machine that has these programs and no others."""

    def run(programs):
        (tmp_path / "sed").symlink_to(shutil.which("sed"))
        for name, does in programs.items():
            if does is not None:
                (tmp_path / name).write_text(f"#!/bin/bash\n{does}\n")
                (tmp_path / name).chmod(0o755)
        argv = ["/bin/bash", str(SCRIPT)]
        env = {"PATH": str(tmp_path)}
        return subprocess.run(argv, capture_output=True, text=True, env=env, check=False)

    return run


def test_a_machine_that_lacks_nothing_is_told_its_python(run, tmp_path):
    """The Makefile goes on with it."""
    done = run(WHOLE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(tmp_path / "python3.11")


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_told_in_one_line(run, what):
    """The first minute with the project, on a machine that is not ours."""
    programs, sentence = MISSING[what]
    done = run(WHOLE | programs)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    for part in sentence.split(" ... "):
        assert part in line
