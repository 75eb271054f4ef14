"""The images, built for real; their commands, from their file systems: a click in, an answer out.

Kafka and Redis are those of the local stack, on loopback; all else runs from the images, as in
`docker/compose.yaml`, as their user, who may write to the volumes and to /tmp alone.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from cli.stack import kafka, redis
from cli.stack.layout import Home, Ports
from cli.stack.process import stop
from nextclick import Client, Event
from tests.images.engine import Engine, missing
from tests.integration.conftest import eventually

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(12_000),
    pytest.mark.skipif(bool(missing()), reason=missing()),
]

MOST_BYTES = {"server": 700_000_000, "jobs": 1_500_000_000, "demo": 2_500_000_000}

OTHER_PROCESSOR = """
from pathlib import Path
from llvmlite import binding

binding.get_host_cpu_name = lambda: "skylake"
binding.get_host_cpu_features = lambda: binding.FeatureMap(sse=True)

import online_models
from online_models.engine import warm_up

CALL
cache = Path(online_models.numba.config.CACHE_DIR)
links = [path for path in cache.rglob("*") if path.is_file()]
print(len(links), len([path for path in links if not path.is_symlink()]))
"""


@pytest.fixture(scope="module")
def say(request):
    """A function that prints a figure, whatever pytest captures."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(text):
        with capture.global_and_fixture_disabled():
            print(f"\n  {text}")

    return say


@pytest.fixture(scope="module")
def engine(tmp_path_factory, say):
    """The engine, with all images built."""
    engine = Engine(tmp_path_factory.mktemp("images"))
    engine.make_base()
    for image in ("server", "jobs", "demo"):
        started = time.monotonic()
        engine.build(image)
        say(f"nextclick-{image} is built in {time.monotonic() - started:.0f} s")
    yield engine
    engine.close()


def size(root: Path) -> int:
    """Return the bytes of a file system, each file once."""
    done = subprocess.run(
        ["du", "--summarize", "--bytes", "--one-file-system", root],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[0])


@pytest.mark.parametrize("image", MOST_BYTES)
def test_an_image_is_small_and_says_what_is_in_it(engine, say, image):
    """A node pulls it before a replica can start; and somebody will ask for each licence."""
    root = engine.root(engine.container(image))
    found = size(root)
    say(f"nextclick-{image}: {found / 1e6:.0f} MB")
    assert found < MOST_BYTES[image]
    home = root / "opt" / "nextclick"
    bom = json.loads((home / "sbom.json").read_text())
    there = {part["name"].lower() for part in bom["components"]}
    assert {"numba", "grpcio"} <= there
    assert [part["name"] for part in bom["components"] if not part.get("licenses")] == []
    assert (home / "LICENSE").is_file()
    assert not list(root.glob("usr/bin/*g++*"))
    config = engine.inspect(image)
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"


@pytest.mark.parametrize("image", ["jobs", "demo"])
def test_java_is_where_the_image_says(engine, image):
    """Flink's scripts look elsewhere, too; PyFlink does not, and every job failed."""
    home = dict(entry.split("=", 1) for entry in engine.inspect(image)["Env"])["JAVA_HOME"]
    assert "17." in engine.run(engine.container(image), [f"{home}/bin/java", "-version"], {})


@pytest.mark.parametrize(
    ("image", "call"),
    [
        ("server", "warm_up.warm_up(remote=True)"),
        ("jobs", "warm_up.warm_up_learners()"),
    ],
)
def test_nothing_is_compiled_on_another_processor(engine, image, call, tmp_path):
    """The first answer would wait for a minute, at each start."""
    tmp_path.chmod(0o777)
    command = ["python", "-c", OTHER_PROCESSOR.replace("CALL", call)]
    said = engine.run(engine.container(image), command, {"TMPDIR": "/work"}, f"{tmp_path}:/work")
    kernels, compiled = map(int, said.split()[-2:])
    assert kernels > 20
    assert compiled == 0


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    """Kafka and Redis on loopback, as the containers' settings; and the ports of all."""
    home, ports = Home(tmp_path_factory.mktemp("services")), Ports.free()
    children = [start(home, ports, bound=True) for start in (kafka.start, redis.start)]
    kafka.wait(home, ports, children[0])
    redis.wait(home, ports, children[1])
    yield home, ports
    stop(children)


def serving(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10):
            return True
    except OSError:
        return False


def test_a_click_goes_in_and_an_answer_comes_out(engine, services, say, tmp_path):
    """What compose does, on one machine: topics, jobs, store, emitter and a server."""
    started = time.monotonic()
    home, ports = services
    env = {
        "NEXTCLICK_KAFKA": f"127.0.0.1:{ports.kafka}",
        "NEXTCLICK_REDIS": f"redis://127.0.0.1:{ports.redis}/0",
        "NEXTCLICK_HOST": "127.0.0.1",
        "NEXTCLICK_STORE_HOST": "127.0.0.1",
    }
    server, jobs = engine.container("server"), engine.container("jobs")
    states = tmp_path / "jobs"
    states.mkdir()
    states.chmod(0o777)
    volume = f"{states}:/var/lib/nextclick/flink"

    said = engine.run(server, ["nextclick", "topics", "create", "--json"], env)
    assert "events" in json.loads(said)["created"]

    def start(name, container, command, more, *volumes):
        return engine.start(container, command, env | more, home.log(name), *volumes)

    loopback = {
        "jobmanager.bind-host": "127.0.0.1",
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": ports.flink_rpc,
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.host": "127.0.0.1",
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": ports.flink,
    }
    more = Ports.free()
    parts = {
        "jobmanager": more.http,
        "taskmanager-1": more.store_http,
        "taskmanager-2": more.emitter_http,
    }
    for name, port in parts.items():
        options = loopback | {"metrics.reporter.prometheus.port": port}
        words = [word for key, value in options.items() for word in ("-D", f"{key}={value}")]
        command = ["/docker-entrypoint.sh", name.split("-")[0], *words]
        start(name, jobs, command, {}, volume)
    at = f"127.0.0.1:{ports.flink}"
    keep = ["python", "/opt/nextclick/docker/jobs/keep_jobs.py", "sessions", "learners"]
    backend = {"NEXTCLICK_STATE_BACKEND": "rocksdb"}
    start("jobs", jobs, [*keep, "--flink", at], backend, volume)
    store = {"NEXTCLICK_STORE_HTTP_PORT": str(ports.store_http)}
    start("store", server, ["python", "-m", "streaming.store"], store)
    replica = {"NEXTCLICK_GRPC_PORT": str(ports.grpc), "NEXTCLICK_HTTP_PORT": str(ports.http)}
    start("server", server, ["python", "-m", "server"], replica)
    emitter = {
        "NEXTCLICK_EMIT_EXAMPLES": "true",
        "NEXTCLICK_HTTP_PORT": str(ports.emitter_http),
        "NEXTCLICK_DATA_DIR": "/var/lib/nextclick/emitter",
    }
    start("emitter", server, ["python", "-m", "server"], emitter)

    eventually(lambda: serving(ports.http), bool, "the server SERVING")
    ready = time.monotonic()
    with Client(f"127.0.0.1:{ports.grpc}", timeout_s=60) as client:
        clicks = [(s, item) for s in ("s1", "s2", "s3") for item in ("a", "b", "c")]
        now = int(time.time() * 1000)
        events = [Event("view", item, now, session_id=s) for s, item in clicks]
        client.put_events([*events, Event("view", "a", now, session_id="new")])
        answer = eventually(
            lambda: client.recommend("new", page_size=3),
            lambda answer: answer.session_version == 1 and answer.item_ids,
            "an answer to the click",
        )
    took = time.monotonic() - started
    say(f"server SERVING after {ready - started:.0f} s, first recommendation after {took:.0f} s")
    assert answer.item_ids[0] == "b"
    eventually(lambda: serving(ports.emitter_http), bool, "the emitter SERVING")
    check = [*keep, "--flink", at, "--check"]
    eventually(
        lambda: start("check", jobs, check, {}, volume).wait() == 0, bool, "both jobs RUNNING"
    )
    checkpoints = states / "flink" / "checkpoints-rocksdb" / "sessions"
    eventually(lambda: list(checkpoints.glob("*/chk-*/_metadata")), bool, "a checkpoint")


def test_the_demo_needs_nothing_but_its_image(engine, say, tmp_path):
    """For many, it is the first that they see."""
    tmp_path.chmod(0o777)
    command = ["nextclick", "demo", "--home", "/var/lib/nextclick/demo"]
    said = engine.run(
        engine.container("demo"),
        [*command, "--max-events", "5000", "--json"],
        {},
        f"{tmp_path}:/var/lib/nextclick",
    )
    result = json.loads(said[said.index("{") :])
    say(f"nextclick-demo: {result['seconds']:.0f} s for {result['sent']} events")
    assert result["sent"] == result["applied"] > 4_000
    assert result["lost"] == 0
