"""A Kafka broker (KRaft, one process), and how the commands reach it or any other."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException

from cli.errors import CommandError
from cli.stack import secured_kafka
from cli.stack.java import java_home
from cli.stack.last_words import cause
from cli.stack.layout import KAFKA_JARS, Child, Home, Ports
from cli.stack.process import START_S, spawn, wait_until
from cli.stack.secret_files import write
from connections.kafka_admin import Admin
from settings.kafka import KafkaSettings

QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


def start(home: Home, ports: Ports, *, bound: bool) -> Child:
    """Start the broker, on the data of its last run if there are any."""
    if not any(KAFKA_JARS.glob("kafka_*.jar")):
        raise CommandError(f"Kafka's jars are not in {KAFKA_JARS}; run `make setup`")
    data = home.path("kafka", "data")
    config = home.path("kafka") / "server.properties"
    secured = secured_kafka.is_secured(home)
    more = secured_kafka.properties(home, ports) if secured else {}
    write(config, properties(str(data), ports, more))
    java = str(java_home() / "bin" / "java")
    classpath = f"{KAFKA_JARS}/*"
    if not (data / "meta.properties").exists():
        argv = [java, QUIET, "-cp", classpath, "kafka.tools.StorageTool", "format"]
        argv += ["-t", new_cluster_id(), "-c", str(config), "--standalone", "--ignore-formatted"]
        users = home.path("kafka") / "users"
        if secured:  # by a file: everybody can read command lines
            write(users, secured_kafka.users(home))
            argv += [f"@{users}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        users.unlink(missing_ok=True)
        if done.returncode:
            log = home.log("kafka-format")
            log.write_text(done.stdout + done.stderr)
            why = cause(log.read_text())
            raise CommandError(f"Kafka cannot format {data}: {why}; all that it said is in {log}")
    argv = [java, "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", QUIET, "-cp", classpath]
    argv += [f"-Djava.io.tmpdir={home.scratch('kafka')}", "kafka.Kafka", str(config)]
    return spawn("kafka", argv, home.log("kafka"), {}, bound=bound)


def new_cluster_id() -> str:
    """Return a random cluster id in Kafka's form: 22 characters of URL-safe base64.

    Like Kafka's own ids it never begins with ``-``: Kafka's tools would take it for an option.
    """
    while True:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster_id.startswith("-"):
            return cluster_id


def properties(data: str, ports: Ports, more: Mapping[str, Any] | None = None) -> str:
    """Return the broker's settings; ``more`` are others, or in the place of these."""
    lines: dict[str, Any] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{ports.kafka_controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{ports.kafka},"
        f"CONTROLLER://127.0.0.1:{ports.kafka_controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports.kafka}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": data,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "auto.create.topics.enable": "false",
        "log.segment.bytes": 268_435_456,
        **(more or {}),
    }
    return "\n".join(f"{name}={value}" for name, value in lines.items()) + "\n"


def ready(home: Home, ports: Ports) -> bool:
    """Whether the broker answers."""
    try:
        admin_client(settings_of(home, ports)).list_topics(timeout=1)
    except KafkaException:
        return False
    return True


def settings_of(home: Home, ports: Ports, user: str = "operator") -> KafkaSettings:
    """Return how a user reaches the broker of a stack, whatever the environment says of another."""
    more: dict[str, Any] = {}
    if secured_kafka.is_secured(home):
        more = secured_kafka.client(home, user)
    return KafkaSettings(kafka=f"127.0.0.1:{ports.kafka}", **more)


def admin_client(kafka: KafkaSettings) -> Admin:
    """Return a client that says nothing itself: what goes wrong is in its exceptions.

    Otherwise each start would print "Purging 1 unserved events", of a result that was served.
    """
    return Admin(kafka, log_level=0)


def wait(home: Home, ports: Ports, child: Child) -> None:
    """Wait until the broker answers."""
    wait_until(lambda: ready(home, ports), START_S, "Kafka", [(child, home.log("kafka"))])
