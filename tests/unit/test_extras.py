"""What each extra of the package brings, against what the rooms import."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from cli.stack.layout import PROJECT
from nextclick import extras

DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
OPTIONAL = DECLARED["optional-dependencies"]
CLIENT = tomllib.loads((PROJECT / "proto" / "pyproject.toml").read_text())["project"]
"""The client, a package of its own, which the project requires."""

ROOMS = {
    "": ["proto/nextclick"],
    "server": [
        *("online_models", "records", "listeners", "settings", "connections", "server"),
        "streaming",
    ],
    "jobs": ["online_models", "records", "settings", "connections", "streaming"],
    "evaluation": ["online_models", "evaluation"],
    "gateway": ["listeners", "settings", "gateway"],
    "cli": ["cli"],
    "stack": ["cli"],
}
"""The folders that an extra is for; empty: the client."""

OF_JOBS = {"streaming.jobs", "streaming.tasks"}
"""Packages of `streaming` that Flink alone runs; of them, the others import only lists of names."""

OF_TRACING = {"server.transport.traces"}
"""What the server imports only where traces are switched on."""

OF_FILES = {"cli.bench", "cli.live", "cli.demo", "cli.evaluate", "cli.files", "cli.import_history"}
OF_FILES |= {"cli.replay", "cli.results", "cli.catalogue", "cli.catalogues"}
OF_FILES |= {"cli.put_users", "cli.export_features", "cli.exports"}
"""What the command line imports only where the extra `evaluation` is installed."""

UNSEEN = {
    "hiredis": "redis parses with it",
    "scipy": "numba's np.dot needs its BLAS",
    "httptools": "uvicorn parses with it",
    "uvloop": "uvicorn's loop",
}
"""Requirements that extras have although no line of their rooms imports them."""

ONLY = """
import importlib, json, sys
from importlib.abc import MetaPathFinder

from nextclick import extras

hidden, lacking, modules = json.loads(sys.stdin.read())
extras.missing = lambda extra: extra if extra in lacking else ""

class Hide(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in hidden:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Hide())
for module in modules:
    importlib.import_module(module)
"""


def distributions(requirements: list[str]) -> set[str]:
    """Return the names of all distributions that requirements bring, with those that they need."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        if requirement.name == "nextclick":
            for extra in requirement.extras:
                waiting += [Requirement(text) for text in OPTIONAL[extra]]
            continue
        if requirement.name == CLIENT["name"]:
            waiting += [Requirement(text) for text in CLIENT["dependencies"]]
            continue
        name = requirement.name.lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            wanted = [{"extra": extra} for extra in requirement.extras or {""}]
            if needed.marker is None or any(map(needed.marker.evaluate, wanted)):
                waiting.append(needed)
    return found


def brought_by(extra: str) -> set[str]:
    return distributions(DECLARED["dependencies"] + OPTIONAL.get(extra, []))


def modules_of(folder: str) -> list[str]:
    root = PROJECT / folder
    files = sorted(root.rglob("*.py"))
    names = [".".join(file.relative_to(root.parent).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names]


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("extra", ["", "server", "jobs", "evaluation", "gateway", "cli"])
def test_a_room_can_be_imported_with_its_extra_alone(extra):
    """An import of another extra's package would end whoever has installed only what is needed."""
    providers = metadata.packages_distributions()
    there = brought_by(extra)
    hidden = [
        name
        for name, owners in providers.items()
        if not there & {owner.lower().replace("_", "-") for owner in owners}
        and not (PROJECT / name).is_dir()
        and not (PROJECT / "proto" / name).is_dir()
    ]
    assert ("pyflink" in hidden) is (extra != "jobs")
    lacking = [other for other in ROOMS if not brought_by(other) <= there]
    modules = [name for folder in ROOMS[extra] for name in modules_of(folder)]
    if extra != "jobs":
        modules = [name for name in modules if not within(name, OF_JOBS)]
    if extra == "server":
        modules = [name for name in modules if name not in OF_TRACING]
    if extra == "cli":
        modules = [name for name in modules if not within(name, OF_FILES)]
    done = subprocess.run(
        [sys.executable, "-c", ONLY],
        input=json.dumps([hidden, lacking, modules]),
        env={"PYTHONPATH": f"{PROJECT}:{PROJECT / 'proto'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def imported(folders: list[str]) -> set[str]:
    """Return the modules that the files of folders import, with the packages that hold them."""
    found = set()
    for folder in folders:
        for file in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found.add(node.module.split(".")[0])
                elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
                    found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return found


@pytest.mark.parametrize("extra", ROOMS)
def test_no_extra_brings_what_its_rooms_do_not_import(extra):
    """Each package is one more to download, to keep up to date, and to trust."""
    providers = metadata.packages_distributions()
    names = {
        owner.lower().replace("_", "-")
        for module in imported(ROOMS[extra])
        for owner in providers.get(module, ())
    }
    declared = OPTIONAL[extra] if extra else CLIENT["dependencies"]
    own = {Requirement(text).name for text in declared} - {"nextclick"}
    assert own - names <= set(UNSEEN)


def test_the_development_environment_has_everything():
    """`make setup` installs what the tests of all rooms need."""
    everything = {name for extra in ROOMS for name in brought_by(extra)}
    assert everything <= brought_by("dev")


REQUIRES = [
    "grpcio<2,>=1.65.5",
    'confluent-kafka<3,>=2.16; extra == "server"',
    'numba>=0.61; extra == "server"',
    'nextclick[server]; extra == "jobs"',
    'apache-flink<2.4,>=2.3; extra == "jobs"',
    'nextclick[cli,jobs]; extra == "stack"',
    'typer>=0.15; extra == "cli"',
]


@pytest.fixture
def install(monkeypatch):
    """A function that leaves only these distributions installed."""

    def install(*names):
        def distribution(name):
            if name not in names:
                raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(extras, "requires", lambda _: REQUIRES)
        monkeypatch.setattr(extras, "distribution", distribution)

    return install


def test_what_is_missing_is_told_with_the_extra_that_brings_it(install):
    """Else people see the traceback of the first import that failed, and guess the rest."""
    install("nextclick", "grpcio", "numba")
    told = "confluent-kafka is not installed: pip install 'nextclick[server]'"
    assert extras.missing("server") == told
    told = "apache-flink, confluent-kafka, typer are not installed: pip install 'nextclick[stack]'"
    assert extras.missing("stack") == told
    install("nextclick", "confluent-kafka", "numba")
    assert extras.missing("server") == ""


def test_sources_that_are_not_installed_require_nothing(install):
    """Flink's workers and the tests have the sources on their path."""
    install()
    assert extras.missing("server") == ""


WITHOUT = """
import sys
from importlib import metadata

distribution = metadata.distribution
_, lacking, extra, module = sys.argv
requirement = f'{lacking}; extra == "{extra}"'

def without(name):
    if name == lacking:
        raise metadata.PackageNotFoundError(name)
    return distribution("pip") if name == "nextclick" else distribution(name)

metadata.distribution = without
metadata.requires = lambda _: [requirement]
import runpy
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("server", "server"),
        ("streaming.store", "server"),
        ("gateway", "gateway"),
        ("cli", "cli"),
    ],
)
def test_a_program_without_its_extra_ends_with_a_sentence(module, extra):
    """The first thing that people see who have installed the client alone."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "lib", extra, module],
        env={"PYTHONPATH": f"{PROJECT}:{PROJECT / 'proto'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"lib is not installed: pip install 'nextclick[{extra}]'\n"


def test_commands_of_files_say_what_they_need(monkeypatch, capsys):
    """All other commands go on without the extra."""
    from cli import main  # noqa: PLC0415 - as people start it

    monkeypatch.setattr(main, "missing", lambda extra: f"pip install 'nextclick[{extra}]'")
    monkeypatch.setattr(main, "app", main.typer.Typer(pretty_exceptions_enable=False))
    main.app.command("status")(main.status)
    main.add_commands_of_files()
    monkeypatch.setattr(main.interrupt, "install", lambda: None)
    monkeypatch.setattr(sys, "argv", ["nextclick", "evaluate", "--train", "clicks.csv"])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 1
    assert capsys.readouterr().err == "error: pip install 'nextclick[evaluation]'\n"
