"""What a machine or the settings lack is told before anything starts."""

import dataclasses
import socket
import sys
import types

import pytest

from cli.errors import CommandError
from cli.stack import flink, kafka
from cli.stack import redis as redis_server
from cli.stack.java import java_home
from cli.stack.layout import Home, Ports
from settings.load import load
from settings.server import ServerSettings
from tests.unit.cli.mistakes import check


@pytest.fixture
def up(mistaken, monkeypatch):
    """A function that runs ``nextclick up`` on free ports, or on those that are given."""
    java_home.cache_clear()

    def run(**ports):
        ports = dataclasses.asdict(Ports.free()) | ports
        options = [f"--{name.replace('_', '-')}-port={port}" for name, port in ports.items()]
        return mistaken("up", *options)

    yield run
    java_home.cache_clear()


@pytest.fixture
def jars(monkeypatch, tmp_path):
    """Pretends that the jars are there."""
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "nextclick-flink-0.jar").touch()
    monkeypatch.setattr(flink, "FLINK_JARS", tmp_path / "jars")


def test_without_java_it_says_what_to_install(up, jars, monkeypatch):
    """The first thing that is missing on a fresh machine."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    check(up(), "Java 17 or 21 is needed (found: none) ... openjdk-17-jdk ... JAVA_HOME")


def test_an_old_java_is_told_with_its_version(up, jars, monkeypatch, tmp_path):
    """Kafka would say UnsupportedClassVersionError."""
    java = tmp_path / "old" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", "/bin:/usr/bin:/nowhere")
    monkeypatch.setattr("cli.stack.java.shutil.which", lambda _: None)
    check(up(), "Java 17 or 21 is needed (found: 11) ... JAVA_HOME")


def test_jars_that_are_not_built_are_told(up, monkeypatch, tmp_path):
    """Whoever has not run `make setup` learns of it."""
    monkeypatch.setattr(flink, "FLINK_JARS", tmp_path)
    check(up(), "the jobs' jars are not in ... `make setup`")


def test_a_broker_or_a_redis_that_is_not_installed_is_told(monkeypatch, tmp_path):
    """Their jars and programs come with `make setup`."""
    home, ports = Home(tmp_path), Ports()
    monkeypatch.setattr(kafka, "KAFKA_JARS", tmp_path)
    with pytest.raises(CommandError, match=r"Kafka's jars are not in .* `make setup`"):
        kafka.start(home, ports, bound=True)
    monkeypatch.setattr(redis_server.shutil, "which", lambda _: None)
    monkeypatch.setattr(redis_server, "find_spec", lambda _: None)
    with pytest.raises(CommandError, match=r"no redis-server: .* 'nextclick\[stack\]'"):
        redis_server.start(home, ports, bound=True)


@pytest.mark.parametrize("name", ["kafka", "http", "store_http"])
def test_a_taken_port_is_named_with_its_option(up, name):
    """Another stack, or another program, that runs already."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        check(up(**{name: port}), f"port {port} ... is taken ... -port")


def test_a_second_start_in_the_folder_is_refused(up, tmp_path):
    """Two of them would fight over the folder."""
    lock = Home(tmp_path / ".nextclick").lock()
    assert lock is not None
    check(up(), "a stack runs in ... already, or is being started; `nextclick down`")


SETTINGS = {
    "GRPC_PORT=abc up": "NEXTCLICK_GRPC_PORT: should be a valid integer",
    "GRPC_PORTT=5 up": "NEXTCLICK_GRPC_PORTT: there is no such setting; did you mean NEXTCLICK_GRP",
    "GRPC_PORTT=5 doctor": "did you mean NEXTCLICK_GRPC_PORT?",
    "GRPC_PORTT=5 recommend": "did you mean NEXTCLICK_GRPC_PORT?",
    "JOB_STATES=/mnt/jobs up": "NEXTCLICK_JOB_STATES: is no URI of a folder, such as s3://",
    "TENANT=two,words up": "NEXTCLICK_TENANT: may have letters, digits ... 'two,words'",
    "MAX_SESSIONS=1000 up": "NEXTCLICK_MAX_SESSIONS: 1000 is not a power of two; take 1024",
    "STATE_BACKEND=rocks up": "NEXTCLICK_STATE_BACKEND: should be 'heap' or 'rocksdb' ... 'rocks'",
    "MAX_ITEMS=-1 serve": "NEXTCLICK_MAX_ITEMS: should be greater than or equal to 1 (it is '-1')",
    "MAX_ITEMS=1e99 serve": "NEXTCLICK_MAX_ITEMS",
    "DRAIN_S=nan serve": "NEXTCLICK_DRAIN_S: should be a finite number",
    "PUT_TIMEOUT_S=1e308 serve": "NEXTCLICK_PUT_TIMEOUT_S: should be less than or equal to 3600",
    "KAFKA= serve": "NEXTCLICK_KAFKA",
    "REDIS=cache:6379 serve": "NEXTCLICK_REDIS: is no URL of Redis, such as redis://",
    "HOST=0.0.0.0 serve --redis redis://:secret@h/0": "--redis has a password ... NEXTCLICK_REDIS",
    "HOST=0.0.0.0 serve --redis redis://h:port/0": "NEXTCLICK_REDIS: is no URL of Redis",
    "HOST=0.0.0.0 serve --data-dir folder/file": "--data-dir ... is a file",
}


@pytest.mark.parametrize("words", SETTINGS)
def test_a_wrong_setting_is_named(mistaken, monkeypatch, words):
    """What cannot be used is said before anything starts."""
    setting, *command = words.split()
    name, value = setting.split("=", 1)
    for held in ServerSettings.model_fields:  # `serve` sets what its options say
        monkeypatch.setenv(f"NEXTCLICK_{held.upper()}", "")
        monkeypatch.delenv(f"NEXTCLICK_{held.upper()}")
    monkeypatch.setenv(f"NEXTCLICK_{name}", value)
    process = types.SimpleNamespace(main=lambda: load(ServerSettings))
    monkeypatch.setitem(sys.modules, "server.__main__", process)
    check(mistaken(*command), SETTINGS[words])


def test_a_torn_file_of_settings_is_named(mistaken, tmp_path):
    """And what its lines look like."""
    (tmp_path / "nextclick.toml").write_text("max_items = \n")
    check(mistaken("up"), "nextclick.toml: ... write lines such as `max_items = 100000`")
