"""What can be wrong with a machine or a stack, looked at one thing at a time: `nextclick doctor`.

Each check looks at one thing and returns a `Finding`; it changes nothing, but for one record on
`commands` that no learner executes: the broker's answer tells its clock.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import psutil
import redis
from confluent_kafka import KafkaException, Message, Producer
from redis.exceptions import MovedError

from cli.errors import CommandError
from cli.stack import topics
from cli.stack.java import java_home
from cli.stack.layout import FLINK_JARS, KAFKA_JARS, Ports
from connections.kafka import client_config
from connections.kafka_admin import Admin, fault
from connections.masters import Masters, probe
from nextclick.topics import COMMANDS, topic
from settings.kafka import KafkaSettings

GIB = 1 << 30
LITTLE_DISK, LEAST_DISK = 10 * GIB, GIB
JAVA_BYTES = 4_100_000_000
"""Of `nextclick up`: JobManager, two TaskManagers and the broker."""

CLOCK_S = 1.0
"""Events may be 5 minutes ahead of their arrival, but figures of delay are in milliseconds."""

ANSWER_S = 5.0

OF_REDIS = "start Redis, or see whether NEXTCLICK_REDIS and those settings beside it are right"


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Finding(NamedTuple):
    """What a check has found, and what to do about it."""

    check: str
    state: State
    found: str
    to_do: str = ""


def of_tools() -> Finding:
    """Check Python, Java and the jars."""
    version = ".".join(map(str, sys.version_info[:3]))
    try:
        java = java_home()
    except CommandError as e:
        return Finding("versions", State.FAULT, f"Python {version}", str(e))
    jars = any(FLINK_JARS.glob("*.jar")) and any(KAFKA_JARS.glob("*.jar"))
    found = f"Python {version}, Java in {java}"
    if not jars:
        return Finding("versions", State.FAULT, f"{found}, no jars", "run `make setup`")
    return Finding("versions", State.OK, found)


def of_server(theirs: str, ours: str) -> Finding:
    """Check that the server that runs is of this command's version; both were read."""
    if theirs == ours:
        return Finding("server", State.OK, f"of this command's version, {ours}")
    found = f"of version {theirs}, this command of {ours}"
    to_do = "`nextclick down` and `nextclick up` start the stack in this command's version"
    return Finding("server", State.WARNING, found, to_do)


def of_ports(ports: Ports) -> Finding:
    """Check that the ports of a stack that does not run are free."""
    try:
        ports.check()
    except CommandError as e:
        return Finding("ports", State.FAULT, "not all are free", str(e))
    return Finding("ports", State.OK, "all are free")


def of_disk(folder: Path) -> Finding:
    """Check the free space of the disk of a folder, which need not exist yet."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    state = State.OK if free >= LITTLE_DISK else State.WARNING
    if free < LEAST_DISK:
        state = State.FAULT
    to_do = "" if state is State.OK else "make room: the log keeps 30 days of sessions, and more"
    return Finding("disk", state, f"{free / GIB:.1f} GiB free for {folder}", to_do)


def of_memory(replicas: Sequence[int], rest: int, total: int) -> Finding:
    """Check that the machine has the memory that the limits allow the replicas to take.

    Parameters
    ----------
    replicas
        The most bytes of each replica on this machine.
    rest
        Bytes of what else runs with them.
    total
        Bytes of the machine.
    """
    needed = sum(replicas) + rest
    found = f"{needed / GIB:.1f} GiB at the limits that are set, of {total / GIB:.1f}"
    if needed <= total:
        return Finding("memory", State.OK, found)
    to_do = "lower NEXTCLICK_MAX_ITEMS or NEXTCLICK_MAX_SESSIONS, or take a larger machine"
    return Finding("memory", State.WARNING, found, to_do)


def of_realtime(*, wanted: bool) -> Finding:
    """Check the right to real-time priority, where it is wanted."""
    if not wanted:
        return Finding("real-time right", State.OK, "not wanted (NEXTCLICK_REALTIME)")
    refused: list[OSError] = []

    def try_it() -> None:  # in a thread that ends: the priority is a thread's
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        except OSError as e:
            refused.append(e)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    if not refused:
        return Finding("real-time right", State.OK, "granted")
    to_do = "give the server CAP_SYS_NICE or a limit on rtprio, or set NEXTCLICK_REALTIME=false"
    return Finding("real-time right", State.WARNING, f"refused: {refused[0].strerror}", to_do)


def of_topics(admin: Admin, kafka: KafkaSettings, tenant: str) -> Iterable[Finding]:
    """Check that Kafka answers, and its topics and their settings."""
    try:
        cluster = topics.look(admin, tenant)
    except KafkaException as e:
        why = fault(e, kafka)
        yield Finding("Kafka", State.FAULT, why.found, why.to_do)
        return
    except TimeoutError:
        to_do = "start Kafka, or set NEXTCLICK_KAFKA to its address"
        yield Finding("Kafka", State.FAULT, f"{kafka.kafka} takes too long to answer", to_do)
        return
    yield Finding("Kafka", State.OK, f"{kafka.kafka} answers, {kafka.kafka_security_protocol}")
    missing = topics.missing(cluster, tenant)
    if missing:
        to_do = "`nextclick topics create` creates them; `nextclick up` those of its own Kafka"
        yield Finding("topics", State.FAULT, f"not there: {', '.join(missing)}", to_do)
    found = [f"{entry.topic}: {entry.told}" for entry in topics.differences(cluster, tenant)]
    if found:
        to_do = "`nextclick topics check` says what follows from each"
        yield Finding("topics", State.WARNING, "; ".join(found), to_do)
    if not missing and not found:
        yield Finding("topics", State.OK, f"{len(cluster.held)}, as declared")


def of_clock(kafka: KafkaSettings, tenant: str) -> Finding:
    """Check this machine's clock against the broker's, to which times of arrival belong."""
    arrived: list[int] = []

    def note(error: object, message: Message) -> None:
        if error is None:
            arrived.append(message.timestamp()[1])

    producer = Producer({**client_config(kafka), "log_level": 0, "linger.ms": 0})
    before = time.time()
    producer.produce(topic(COMMANDS, tenant), key=b"doctor", value=b"", on_delivery=note)
    producer.flush(ANSWER_S)
    return clocks(before, arrived[0] / 1000 if arrived else None, time.time())


def clocks(before: float, broker: float | None, after: float) -> Finding:
    """Return what the broker's clock says, read between two times of ours; all in seconds."""
    if broker is None:
        return Finding("clock", State.WARNING, "the broker took no record on `commands`")
    off = min(broker - before, 0) + max(broker - after, 0)
    if abs(off) <= CLOCK_S:
        return Finding("clock", State.OK, f"within {CLOCK_S:.0f} s of the broker's")
    side = "behind" if off > 0 else "ahead of"
    to_do = "set both by NTP: times of events are judged by the broker's clock"
    return Finding("clock", State.WARNING, f"{abs(off):.0f} s {side} the broker's", to_do)


def of_redis(masters: Masters, tenant: str) -> Iterator[Finding]:
    """Yield whether each master answers, and what it evicts when its memory is full."""
    try:
        masters.refresh()
    except redis.RedisError as e:
        yield Finding("Redis", State.FAULT, f"nobody says who is master: {e}", OF_REDIS)
        return
    for address, client in masters.clients.items():
        yield of_master(client, address, tenant)


def of_master(client: redis.Redis, address: str, tenant: str) -> Finding:
    """Check that a master lets sessions be read, and what it evicts when its memory is full."""
    try:
        client.execute_command(*probe(tenant))  # type: ignore[no-untyped-call]
    except MovedError:
        pass  # another master would know
    except redis.RedisError as e:
        return Finding("Redis", State.FAULT, f"{address} does not answer: {e}", OF_REDIS)
    try:
        held: dict[str, str] = client.config_get("maxmemory*")  # type: ignore[assignment]
    except redis.RedisError:
        return Finding("Redis", State.OK, f"{address} answers; it does not tell its settings")
    policy, most = held.get("maxmemory-policy", ""), int(held.get("maxmemory", 0))
    found = f"{address} answers; maxmemory {most}, {policy}"
    if policy.startswith("allkeys"):
        to_do = "set maxmemory-policy to volatile-ttl: else it evicts the store's position as well"
        return Finding("Redis", State.WARNING, found, to_do)
    if most and policy == "noeviction":
        to_do = "set maxmemory-policy to volatile-ttl: when it is full, no session is written"
        return Finding("Redis", State.WARNING, found, to_do)
    return Finding("Redis", State.OK, found)


def total_memory() -> int:
    """Return the bytes of memory of this machine."""
    return int(psutil.virtual_memory().total)
