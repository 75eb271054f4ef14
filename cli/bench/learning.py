"""``nextclick bench learning``: how fast the learners' jobs learn."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from confluent_kafka import Consumer, Producer, TopicPartition

from cli.console import err, print_json, print_result
from cli.options import DEFAULT_BENCH_FOLDER, BenchFolder, Json
from cli.stack import flink, kafka
from cli.stack.layout import SAMPLE
from cli.stack.process import wait_until
from cli.stack.stack import Stack
from cli.stack.temporary import temporary_stack
from evaluation.datasets import clicks_in_order, load_sessions
from nextclick.topics import EXAMPLES, PRODUCER_CONFIG, RANKER, SESSIONS, partitions, topic
from nextclick.v1.learning_pb2 import LearnerState
from nextclick.v1.session_pb2 import SessionRecord
from online_models.engine import Engine
from records import example
from streaming.jobs.registry import JOBS

TENANT = "bench"
SKIPPED = 0.2
"""Share at the start that is not measured: the JVM and the kernels are warming up."""


def learning(
    examples: Annotated[int, typer.Option(min=100, help="Examples to learn.")] = 20_000,
    clicks: Annotated[int, typer.Option(min=100, help="Clicks to learn.")] = 60_000,
    home: BenchFolder = DEFAULT_BENCH_FOLDER,
    json: Json = False,
) -> None:
    """Preload real clicks and examples, then time the vectors and the ranker job in turn.

    nextclick bench learning --json
    """
    with temporary_stack(home) as stack:
        result = measure(stack, examples, clicks)
    if json:
        print_json(result)
    else:
        print_result("The learners", {name: f"{value:,.0f}" for name, value in result.items()})


def measure(stack: Stack, examples: int, clicks: int) -> dict[str, Any]:
    """Return how much each job learns a second, while the rest of the stack is idle."""
    kafka.create_topics(stack.kafka, TENANT)
    with err.status("preloading"):
        n_clicks, n_examples = preload(stack.kafka, examples, clicks)
    with stack.more_taskmanagers():
        with err.status("learning vectors"):
            clicks_per_s = rate(stack, "vectors", n_clicks)
        with err.status("learning the ranker"):
            examples_per_s = rate(stack, "ranker", n_examples)
    return {
        "examples": n_examples,
        "examples_per_s": examples_per_s,
        "clicks": n_clicks,
        "clicks_per_s": clicks_per_s,
    }


def preload(servers: str, examples: int, clicks: int) -> tuple[int, int]:
    """Produce records of `sessions` and `examples` from the sample; returns how many."""
    producer = Producer({**PRODUCER_CONFIG, "bootstrap.servers": servers})
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
            value = example.encode(example.Example(name, p + 1, *case))
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


def rate(stack: Stack, model: str, n: int) -> float:
    """Run a model's job over the preloaded records; returns records a second after a warm-up."""
    job = flink.submit(stack.home, JOBS[model], "--kafka", stack.kafka, "--tenant", TENANT)
    consumer = Consumer({"bootstrap.servers": stack.kafka, "group.id": "bench"})
    consumer.assign([TopicPartition(topic(RANKER, TENANT), p, 0) for p in partitions(RANKER)])
    seen: list[tuple[int, int]] = []

    def done() -> bool:
        for message in consumer.consume(100, 0.2):
            if message.error() is None and message.key() == model.encode():
                state = LearnerState.FromString(message.value() or b"")
                seen.append((state.timestamp_ms, state.applied))
        return bool(seen) and seen[-1][1] >= n

    try:
        wait_until(done, 300, f"the {model} job has learned {n:,} records")
    finally:
        consumer.close()
        flink.cancel(stack.ports, job)
    first = next(entry for entry in seen if entry[1] >= SKIPPED * n)
    last = next(entry for entry in seen if entry[1] >= n)
    return (last[1] - first[1]) / max((last[0] - first[0]) / 1000, 1e-3)
