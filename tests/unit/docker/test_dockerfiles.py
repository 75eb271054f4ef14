"""The Dockerfiles, against the code that they run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
import yaml

from cli.main import app
from cli.stack.authority import Authority
from cli.stack.flink_settings import MANAGED, cluster_settings
from cli.stack.layout import PROJECT, Home, Ports
from listeners.guard import UNGUARDED, guard_of
from server.transport.http import serve_http
from settings.gateway import GatewaySettings
from settings.load import NAMES, load
from settings.server import ServerSettings
from settings.store import StoreSettings
from tests.help_examples import COMMANDS
from tests.unit.docker.dockerfile import (
    DOCKER,
    IMAGES,
    command,
    exposed,
    folders,
    last_stage,
    stages,
    variables,
)

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
TOOLS = {"g++", "maven", "openjdk-17-jdk-headless", "python3-dev", "python3-venv"}


@pytest.mark.parametrize("image", IMAGES)
def test_hadolint_finds_nothing(image):
    """It knows what goes wrong in Dockerfiles."""
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint, "`make setup` installs it"
    argv = [
        hadolint,
        "--config",
        str(PROJECT / ".hadolint.yaml"),
        str(DOCKER / image / "Dockerfile"),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_all_images_have_the_same_pinned_base_and_processor():
    """One base to renew; and what is compiled for one machine must run on any other."""
    first = {
        image: [words for keyword, words in stages(image)[0] if keyword == "ARG"]
        for image in IMAGES
    }
    assert first["server"] == first["jobs"] == first["demo"]
    base, *_ = first["server"]
    assert re.fullmatch(r"BASE=debian:bookworm-\d{8}-slim@sha256:[0-9a-f]{64}", base)
    for image in IMAGES:
        froms = [stage[0].words for stage in stages(image)[1:]]
        assert {words.split()[0] for words in froms} == {"${BASE}"}
        for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"):
            assert variables(image)[name] == f"${{{name}}}"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_without_root_and_without_tools(image):
    """What breaks into a server finds neither a compiler nor a right."""
    assert last_stage(image, "USER") == ["10001:10001"]
    installed = " ".join(last_stage(image, "RUN")).split()
    assert TOOLS.isdisjoint(installed)
    used = {word for stage in stages(image)[1:-1] for i in stage for word in i.words.split()}
    assert used & TOOLS, "the stages before have other names by now"


@pytest.mark.parametrize("image", IMAGES)
def test_the_labels_are_those_of_the_package(image):
    """Whoever finds an image learns its version and its licence."""
    [label] = last_stage(image, "LABEL")
    said = dict(re.findall(r'image\.(\w+)="([^"]*)"', label))
    project = PYPROJECT["project"]
    assert (said["version"], said["licenses"]) == (project["version"], project["license"]["text"])
    text = (DOCKER / image / "Dockerfile").read_text()
    assert f"-f docker/{image}/Dockerfile -t nextclick-{image}:{project['version']} ." in text


@pytest.mark.parametrize("image", IMAGES)
def test_the_extras_and_folders_of_an_image_exist(image):
    """A folder that is missing in the build's context fails it after minutes."""
    runs = " ".join(i.words for stage in stages(image) for i in stage if i.keyword == "RUN")
    extras = re.search(r"docker/install\.sh (\S+)", runs)[1].split(",")
    assert set(extras) <= set(PYPROJECT["project"]["optional-dependencies"])
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    packages = {name.split(".")[0] for name in PYPROJECT["tool"]["setuptools"]["packages"]}
    assert packages | {"proto"} <= sent
    assert all((PROJECT / name).exists() for name in sent)
    compiled = (DOCKER / "install.sh").read_text().replace("\\\n", "").split("compileall -q ")[1]
    assert set(compiled.split()) == packages | {"proto"}


def test_the_servers_image_has_settings_that_exist(monkeypatch):
    """The server would refuse to start with any other."""
    given = {k: v for k, v in variables("server").items() if k.startswith("NEXTCLICK_")}
    assert {name.removeprefix("NEXTCLICK_").lower() for name in given} <= set(NAMES)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    server, store, gateway = load(ServerSettings), load(StoreSettings), load(GatewaySettings)
    assert str(server.data_dir) in folders("server")
    ports = {server.grpc_port, server.http_port, store.store_http_port, gateway.gateway_port}
    assert exposed("server") == {str(port) for port in ports}
    assert server.host == store.store_host == gateway.gateway_host == "0.0.0.0"
    [check] = last_stage("server", "HEALTHCHECK")
    assert server.http_port == gateway.gateway_http_port
    script, path = re.search(r'"python", "(\S+)", "(\S+)"', check).groups()
    assert path == "/healthz"
    assert f"127.0.0.1:{server.http_port}" in (PROJECT / script).read_text()


@pytest.mark.parametrize("over_tls", [False, True])
def test_the_health_of_the_servers_image_is_found_out(over_tls, tmp_path):
    """Without it, a container is never healthy, and those that wait for it never start."""
    script, guard = (DOCKER / "server" / "healthy.py").read_text(), UNGUARDED
    env = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}  # Docker's own
    if over_tls:
        mine = Authority(tmp_path).issue("server", hosts=["elsewhere.example"])
        guard = guard_of("", str(mine.certificate), str(mine.key))
        env["NEXTCLICK_TLS_CERTIFICATE_FILE"] = str(mine.certificate)
    state = {"state": "SERVING"}
    port = Ports.free().http
    server = serve_http("127.0.0.1", port, lambda: state, guard)
    (tmp_path / "healthy.py").write_text(script.replace(":8080", f":{port}"))
    argv = [sys.executable, str(tmp_path / "healthy.py"), "/healthz"]
    try:
        for expected, said in ((True, "SERVING"), (False, "NOT_SERVING")):
            state["state"] = said
            done = subprocess.run(argv, env=env, capture_output=True, check=False)
            assert (done.returncode == 0) is expected, done.stderr
    finally:
        server.shutdown()
        server.server_close()


def test_the_commands_exist():
    """An image whose command does not exist ends at once."""
    python, m, module = command("server")
    assert (python, m) == ("python", "-m")
    assert find_spec(f"{module}.__main__") is not None
    nextclick, name, home, folder = command("demo")
    assert nextclick in PYPROJECT["project"]["scripts"]
    demo = typer.main.get_command(app).commands[name]
    demo.make_context(name, [home, folder])
    assert any(folder.startswith(f"{there}/") for there in folders("demo"))


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_says_whether_it_is_healthy(image):
    """Docker would call a process that hangs as good as any."""
    [check] = last_stage(image, "HEALTHCHECK")
    argv = json.loads(check.split("CMD ", 1)[1])
    if argv[:2] == ["python", "-c"]:
        compile(argv[2], image, "exec")
    elif argv[0] == "python":
        assert (PROJECT / argv[1]).is_file()
    else:
        assert tuple(argv[1:2]) in COMMANDS
        assert argv[2:] == command(image)[2:], "the folder of another stack"


@pytest.mark.parametrize(
    ("words", "started"),
    [
        (["jobmanager"], "jobmanager.sh start-foreground"),
        (["taskmanager", "-D", "a=b c"], "taskmanager.sh start-foreground -D a=b c"),
        (["standalone-job", "--job-id", "1"], "standalone-job.sh start-foreground --job-id 1"),
        (["echo", "anything"], "anything"),
        ([], "commands: jobmanager, taskmanager, standalone-job, or a program of the image"),
    ],
)
def test_the_jobs_image_takes_the_commands_of_flinks_own(words, started, tmp_path):
    """Flink's Kubernetes operator gives them, and any program."""
    (tmp_path / "bin").mkdir()
    for name in ("jobmanager.sh", "taskmanager.sh", "standalone-job.sh"):
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\necho {name} "$@"\n')
        script.chmod(0o755)
    done = subprocess.run(
        [DOCKER / "jobs" / "docker-entrypoint.sh", *words],
        env={"FLINK_HOME": str(tmp_path), "PATH": "/bin:/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == started


def test_taskmanagers_keep_their_memory_together():
    """Of many heaps, each keeps what was freed in it, until the container is killed."""
    assert 1 <= int(variables("jobs")["MALLOC_ARENA_MAX"]) <= 4


OF_THE_IMAGE = {
    "jobmanager.bind-host", "jobmanager.rpc.address", "taskmanager.bind-host", "taskmanager.host",
    "rest.address", "rest.bind-address", "python.executable", "python.client.executable",
    "execution.checkpointing.dir", "execution.checkpointing.savepoint-dir", "io.tmp.dirs",
    "taskmanager.memory.managed.size",
}  # fmt: skip
"""Settings of Flink that differ in the image, or are in one of both alone."""


def flat(settings, prefix=""):
    """Return nested settings by their full names."""
    out = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            out |= flat(value, f"{prefix}{name}.")
        else:
            out[prefix + name] = value
    return out


def test_flink_has_the_settings_of_the_local_stack(tmp_path):
    """They were tried; and what is found to be better there must come here."""
    tried = flat(cluster_settings(Home(tmp_path), Ports()))
    there = flat(yaml.safe_load((DOCKER / "jobs" / "config.yaml").read_text()))
    ours, theirs = (
        {k: v for k, v in s.items() if k not in OF_THE_IMAGE and not k.startswith("metrics.")}
        for s in (tried, there)
    )
    assert ours == theirs
    assert there["taskmanager.memory.managed.size"] == MANAGED["rocksdb"]
    interpreter = variables("jobs")["VIRTUAL_ENV"] + "/bin/python"
    assert there["python.executable"] == there["python.client.executable"] == interpreter
    ports = [there["jobmanager.rpc.port"], there["rest.port"]]
    ports.append(there["metrics.reporter.prometheus.port"])
    assert {str(port) for port in ports} == exposed("jobs")
    places = [there["execution.checkpointing.dir"], there["execution.checkpointing.savepoint-dir"]]
    places.append("file://" + there["io.tmp.dirs"])
    for place in places:
        assert any(place.startswith(f"file://{folder}") for folder in folders("jobs"))


@pytest.mark.parametrize("name", ["protobuf", "of-tomorrow"])
def test_a_licence_that_nobody_has_looked_up_ends_the_build(name, tmp_path):
    """Somebody will ask for each; some packages have it in a text alone."""
    sbom = tmp_path / "sbom.json"
    told = [{"license": {"id": "MIT"}}]
    sbom.write_text(json.dumps({"components": [{"name": "a", "licenses": told}, {"name": name}]}))
    argv = [sys.executable, str(DOCKER / "complete_sbom.py"), str(sbom)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    licences = [part.get("licenses") for part in json.loads(sbom.read_text())["components"]]
    if name == "protobuf":
        assert licences == [told, [{"license": {"id": "BSD-3-Clause"}}]]
    else:
        assert done.returncode == 1
        assert f"licence of {name}" in done.stderr
