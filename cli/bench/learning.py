"""``nextclick bench learning``: how fast the learners' jobs learn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple

import typer
from confluent_kafka import Consumer, Producer, TopicPartition

from cli.console import err, print_json, print_result
from cli.figures import count, microseconds
from cli.options import DEFAULT_BENCH_FOLDER, BenchFolder, Json
from cli.stack import flink, flink_rest, kafka, topics
from cli.stack.layout import SAMPLE
from cli.stack.process import find, wait_until
from cli.stack.stack import Stack
from cli.stack.temporary import temporary_stack
from connections.kafka import client_config
from evaluation.datasets import clicks_in_order, load_sessions
from nextclick.topics import EXAMPLES, PRODUCER_CONFIG, RANKER, SESSIONS, partitions, topic
from nextclick.v1.learning_pb2 import LearnerState
from nextclick.v1.session_pb2 import SessionRecord
from online_models.engine import Engine
from records import example
from records.session_life import Applied
from settings.base import variables
from streaming.jobs.registry import JOBS

TENANT, LONG_TENANT = "bench", "bench-long"
SKIPPED = 0.2
"""Share at the start that is not measured: the JVM and the kernels are warming up."""

WARM_UP_S, FIRST_S = 15, 60
"""Of the long run: what is not measured at its start, and how long its start is then measured."""

AFTER = 0.2
"""Share of the sessions that follow those of the long run: its end, which is compared with its
start."""

APART = 200
"""Other sessions' clicks between the two of a session of the long run."""

FIRST_CLICK_MS = 1_700_000_000_000
"""When the first click of the long run arrived; each of the others came a millisecond later."""

LIMIT_S, SLOWEST = 300, 300
"""For a run; a long one may take a second for so many clicks."""


class Look(NamedTuple):
    """How far a job was at some time.

    Parameters
    ----------
    at_s
        The time.
    applied
        Records that it had applied.
    cpu_s
        Processor time that its TaskManager had taken.
    """

    at_s: float
    applied: int
    cpu_s: float


def learning(
    examples: Annotated[int, typer.Option(min=100, help="Examples to learn.")] = 20_000,
    clicks: Annotated[int, typer.Option(min=100, help="Clicks to learn.")] = 60_000,
    sessions: Annotated[
        int,
        typer.Option(min=0, help="Sessions of two clicks in a long run of the vectors job."),
    ] = 0,
    home: BenchFolder = DEFAULT_BENCH_FOLDER,
    json: Json = False,
) -> None:
    """Preload real clicks and examples, then time the vectors and the ranker job in turn.

    With --sessions also a long run of the vectors job: clicks a second, and processor time of its
    TaskManager for one, in its first minute and once it has seen that many sessions.

    nextclick bench learning --sessions 1000000 --json
    """
    with temporary_stack(home) as stack:
        result = measure(stack, examples, clicks, sessions)
    if json:
        print_json(result)
    else:
        print_result("The learners", readable(result))


def measure(stack: Stack, examples: int, clicks: int, sessions: int = 0) -> dict[str, Any]:
    """Return how much each job learns a second, while the rest of the stack is idle."""
    topics.create(kafka.admin_client(stack.kafka_settings), TENANT)
    with err.status("preloading"):
        n_clicks, n_examples = preload(stack, examples, clicks)
    with stack.more_taskmanagers() as (host,):
        with err.status("learning vectors"):
            clicks_per_s = rate(stack, host, "vectors", n_clicks)
        with err.status("learning the ranker"):
            examples_per_s = rate(stack, host, "ranker", n_examples)
        long = long_run(stack, host, sessions) if sessions else {}
    return {
        "examples": n_examples,
        "examples_per_s": examples_per_s,
        "clicks": n_clicks,
        "clicks_per_s": clicks_per_s,
        **long,
    }


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the figures as people read them."""
    rows = {
        "vectors job, clicks a second": f"{result['clicks_per_s']:,.0f}",
        "  clicks learned": count(result["clicks"]),
        "ranker job, examples a second": f"{result['examples_per_s']:,.0f}",
        "  examples learned": count(result["examples"]),
    }
    if "seen" in result:
        rows |= {
            "vectors job, long run, sessions": count(result["seen"]),
            "  clicks a second in the first minute": f"{result['first_vectors_per_s']:,.0f}",
            "  clicks a second at the end": f"{result['vectors_per_s']:,.0f}",
            "  ratio of the two": f"{result['vectors_ratio']:.2f}",
            "  processor time of a click in the first minute": microseconds(
                result["first_vectors_cpu_us"]
            ),
            "  processor time of a click at the end": microseconds(result["vectors_cpu_us"]),
        }
    return rows


def long_run(stack: Stack, host: str, sessions: int) -> dict[str, Any]:
    """Return what a click costs the vectors job at the start, and once it has seen the sessions."""
    topics.create(kafka.admin_client(stack.kafka_settings), LONG_TENANT)
    n, before = 0, 2 * sessions
    with err.status("preloading the long run"):
        producer = Producer({**client_config(stack.kafka_settings), **PRODUCER_CONFIG})
        for record in two_clicks(int(sessions * (1 + AFTER))):
            value = record.SerializeToString()
            put(producer, topic(SESSIONS, LONG_TENANT), record.session_id, value)
            n += 1
        producer.flush()
    with err.status("the long run"):
        looks = run(stack, host, "vectors", n, LONG_TENANT)
    return {"seen": sessions, **start_and_end(looks, before, n)}


def start_and_end(looks: list[Look], before: int, n: int) -> dict[str, float]:
    """Return the figures of the first minute, and of the records from ``before`` to ``n``."""
    start = first_at(looks, lambda look: look.applied > 0)
    warm = first_at(looks, lambda look: look.at_s >= start.at_s + WARM_UP_S)
    minute = first_at(looks, lambda look: look.at_s >= warm.at_s + FIRST_S)
    late = first_at(looks, lambda look: look.applied >= before)
    end = first_at(looks, lambda look: look.applied >= n)
    # A run that is shorter than that has neither start nor end.
    first, last = (warm, minute) if minute.applied < before else (looks[0], late), (late, end)
    return {
        "vectors_per_s": per_second(*last),
        "first_vectors_per_s": per_second(*first),
        "vectors_ratio": per_second(*last) / per_second(*first),
        "vectors_cpu_us": cpu_us(*last),
        "first_vectors_cpu_us": cpu_us(*first),
    }


def two_clicks(sessions: int) -> Iterator[SessionRecord]:
    """Yield the records of sessions of two clicks, which are those of the sample, over and over.

    They have no incarnation: of such sessions all are learned, however late.
    """
    sample = [s.items for s in load_sessions(SAMPLE / "train.txt.gz") if len(s.items) > 1]
    now_ms = FIRST_CLICK_MS
    for first in range(0, sessions, APART):
        records = [SessionRecord(session_id=str(n)) for n in range(first, first + APART)]
        for place in (0, 1):
            for n, record in enumerate(records, first):
                now_ms += 1
                record.version = place + 1
                record.appended_ms = now_ms
                record.steps.add(
                    item_id=sample[n % len(sample)][place], seq=place + 1, appended_ms=now_ms
                )
                yield record


def preload(stack: Stack, examples: int, clicks: int) -> tuple[int, int]:
    """Produce records of `sessions` and `examples` from the sample; returns how many."""
    producer = Producer({**client_config(stack.kafka_settings), **PRODUCER_CONFIG})
    engine = Engine(sample=0, remote=True)
    sessions = load_sessions(SAMPLE / "train.txt.gz")
    records: dict[int, SessionRecord] = {}
    numbers: dict[int, int] = {}
    n_clicks = n_examples = 0
    for s, p in clicks_in_order(sessions):
        item_id, name = sessions[s].items[p], sessions[s].session_id
        if p == 0:
            numbers[s] = engine.open_session()
            records[s] = SessionRecord(session_id=name)
        case = engine.example(numbers[s], item_id) if n_examples < examples else None
        if case is not None:
            click = Applied(version=p + 1)
            value = example.encode(example.Example(name, click, case.features, case.target))
            put(producer, topic(EXAMPLES, TENANT), name, value)
            n_examples += 1
        engine.learn(numbers[s], item_id)
        if n_clicks < clicks:
            record = records[s]
            record.version = p + 1
            record.steps.add(item_id=item_id, seq=p + 1)
            del record.steps[:-50]
            put(producer, topic(SESSIONS, TENANT), name, record.SerializeToString())
            n_clicks += 1
        if n_clicks == clicks and n_examples == examples:
            break
    producer.flush()
    return n_clicks, n_examples


def put(producer: Producer, name: str, key: str, value: bytes) -> None:
    """Produce a record, waiting while the queue is full."""
    while True:
        try:
            producer.produce(name, value, key)
            return
        except BufferError:
            producer.poll(0.1)


def rate(stack: Stack, host: str, model: str, n: int) -> float:
    """Run a model's job over the preloaded records; returns records a second after a warm-up."""
    looks = run(stack, host, model, n, TENANT)
    return per_second(
        first_at(looks, lambda look: look.applied >= SKIPPED * n),
        first_at(looks, lambda look: look.applied >= n),
    )


def run(stack: Stack, host: str, model: str, n: int, tenant: str) -> list[Look]:
    """Run a model's job on a TaskManager until it has applied ``n`` records.

    The first look is that of its start, before it has applied any.
    """
    args, env = ("--kafka", stack.kafka, "--tenant", tenant), variables(stack.kafka_settings)
    job = flink.submit(stack.home, JOBS[model], *args, env=env)
    consumer = Consumer({**client_config(stack.kafka_settings), "group.id": "bench"})
    consumer.assign([TopicPartition(topic(RANKER, tenant), p, 0) for p in partitions(RANKER)])

    def used() -> float:
        process = find(stack.child(host))
        return sum(process.cpu_times()[:2]) if process else 0.0

    looks = [Look(time.time(), 0, used())]

    def done() -> bool:
        used_s = used()
        for message in consumer.consume(100, 0.2):
            if message.error() is None and message.key() == model.encode():
                state = LearnerState.FromString(message.value() or b"")
                looks.append(Look(state.timestamp_ms / 1000, state.applied, used_s))
        return looks[-1].applied >= n

    try:
        wait_until(done, max(LIMIT_S, n / SLOWEST), f"the {model} job has learned {n:,} records")
    finally:
        consumer.close()
        flink_rest.cancel(stack.ports, job)
    return looks


def first_at(looks: list[Look], condition: Callable[[Look], bool]) -> Look:
    """Return the first look that a condition holds for, else the last one."""
    return next(filter(condition, looks), looks[-1])


def per_second(start: Look, end: Look) -> float:
    """Return the records applied in a second between two looks."""
    return (end.applied - start.applied) / max(end.at_s - start.at_s, 1e-3)


def cpu_us(start: Look, end: Look) -> float:
    """Return the microseconds of processor time for a record between two looks."""
    return 1e6 * (end.cpu_s - start.cpu_s) / max(end.applied - start.applied, 1)
