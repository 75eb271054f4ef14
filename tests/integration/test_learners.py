"""The learners' jobs on real Kafka and Flink: killed in mid-stream, they have lost nothing."""

import json
import uuid
from itertools import chain

from confluent_kafka.admin import AdminClient, NewTopic

from cli.stack import flink, flink_rest, process
from nextclick import Item
from nextclick.topics import RANKER_MODEL, TOPICS, topic
from nextclick.v1 import learning_pb2 as pb
from streaming.jobs.registry import JOBS
from streaming.tasks.ranker import RankerTask
from streaming.tasks.task import TaskOptions
from streaming.tasks.vectors import VectorsTask
from tests.command import run as run_cli
from tests.help_examples import words_of
from tests.integration.conftest import Reader, eventually
from tests.integration.test_path import fresh, views
from tests.unit.streaming.learners_under_test import click_records, example_records, far_off

SESSIONS, EXAMPLES = 6_000, 4_000


def test_killed_learners_have_applied_everything_once(stack, producer):
    """Three times kill -9: counts and checksums as the input's, weights as without the kills."""
    tenant = f"exact{uuid.uuid4().hex[:6]}"
    # One partition each: the order of the input is given, so the result must be too.
    new = [NewTopic(topic(t.name, tenant), 1, 1, config=t.config) for t in TOPICS.values()]
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    for done in admin.create_topics(new).values():
        done.result(30)
    clicks, examples = click_records(SESSIONS), example_records(EXAMPLES)

    def send(part, of):
        for records in (clicks, examples):
            n = len(records)
            for record in records[n * part // of : n * (part + 1) // of]:
                producer.produce(topic(record.topic, tenant), record.value, record.key)
        producer.flush()

    reader = Reader(stack.kafka, topic("ranker", tenant), from_beginning=True, partitions=1)
    published = Reader(stack.kafka, topic("vectors", tenant), from_beginning=True, partitions=1)

    def states():
        newest = {}
        for m in reader.read():
            newest[m.key().decode()] = pb.LearnerState.FromString(m.value())
        return newest

    with stack.more_taskmanagers() as (name,):
        job = flink.submit(stack.home, JOBS["learners"], "--kafka", stack.kafka, "--tenant", tenant)
        try:
            for part in range(4):
                before = {model: state.applied for model, state in states().items()}
                send(part, 4)
                if part == 3:
                    break
                eventually(
                    states,
                    lambda now, b=before: (
                        len(now) == 2 and all(s.applied > b.get(m, 0) for m, s in now.items())
                    ),
                    "the learners move",
                )
                process.kill(stack.child(name))
                stack.replace(name, flink.start_taskmanager(stack.home, 3, bound=True))
            expected = replayed(clicks, examples)
            done = eventually(
                states,
                lambda now: all(now[m].applied == e.progress.applied for m, e in expected.items()),
                "all that was sent is learned",
            )
            eventually(
                lambda: far_off(newest_values(published), expected["vectors"]),
                lambda far: not far,
                "all vectors, as near as unpublished moves may leave them",
            )
        finally:
            flink_rest.cancel(stack.ports, job)
            reader.close()
            published.close()
    for model, task in expected.items():
        assert done[model].checksum == task.progress.checksum
        assert done[model].learned == task.learned
    weights = {s.weights.network for s in (done["ranker"], last(expected["ranker"]))}
    assert len(weights) == 1, "the ranker is not that of an undisturbed run"


def replayed(clicks, examples):
    """The same records through the same tasks, undisturbed."""
    tasks = {
        "vectors": VectorsTask(TaskOptions("x")),
        "ranker": RankerTask(TaskOptions("x")),
    }
    for model, records in (("vectors", clicks), ("ranker", examples)):
        for record in records:
            tasks[model].apply(record)
    return tasks


def last(task):
    *_, output = task.publish(0)
    return pb.LearnerState.FromString(output.value)


def newest_values(reader):
    return {m.key().decode(): m.value() for m in reader.read()}


def test_what_a_learner_passes_over_is_counted_and_said(stack, producer):
    """A record that breaks a limit was dropped without a word."""
    job = stack.jobs["learners"]
    operator = next(part.operator for part in JOBS["learners"].parts if part.name == RANKER_MODEL)
    log = stack.home.log(stack.host_of(job).name)
    before = log.read_text(errors="replace").count("passing over commands-")
    producer.produce("commands", b"\xff\xff", RANKER_MODEL)
    producer.flush()
    eventually(lambda: flink_rest.refused(stack.ports, job, operator), bool, "the count")
    after = log.read_text(errors="replace").count("passing over commands-")
    assert after == before + 1


def test_a_new_item_is_found_by_its_content_alone(stack, client):
    """New arrivals are what a shop most wants to show, and nobody has clicked them yet."""
    run = uuid.uuid4().hex[:6]
    kinds = {kind: [f"{kind}-{run}-{i}" for i in range(6)] for kind in ("tea", "tool")}
    for kind, ids in kinds.items():
        client.put_items([Item(item_id, categories=(f"{kind}-{run}",)) for item_id in ids])
    for n in range(60):
        ids = kinds["tea" if n % 2 else "tool"]
        client.put_events(views(fresh("content"), [ids[n % 6], ids[(n + 1) % 6], ids[(n + 2) % 6]]))
    new = f"new-{run}"
    client.put_items([Item(new, categories=(f"tea-{run}",))])

    def near(item_id):
        return list(client.similar_items(item_id, page_size=20).item_ids)

    eventually(lambda: near(kinds["tea"][0]), lambda ids: new in ids, "the new tea beside tea")
    eventually(lambda: near(new), lambda ids: ids[0].startswith("tea-"), "tea beside the new tea")
    client.delete_items([new])
    eventually(lambda: near(kinds["tea"][0]), lambda ids: new not in ids, "it is gone")


def test_learning_is_paused_and_resumed_over_grpc(stack, client):
    """The command goes through Kafka to Flink, and its effect comes back to the server."""
    port = ("--grpc-port", str(stack.ports.grpc))

    def paused():
        models = json.loads(run_cli("models", "list", *port, "--json").stdout)["models"]
        return {m["name"]: m["paused"] for m in models}["vectors"]

    client.put_events(views(fresh("pause"), ["a", "b"]))
    assert run_cli("models", "pause", "vectors", *port).returncode == 0
    eventually(paused, bool, "paused")
    assert run_cli("models", "resume", "vectors", *port).returncode == 0
    eventually(paused, lambda p: not p, "resumed")
    wrong = run_cli("models", "roll-back", "vectors", "1", *port)
    assert wrong.returncode == 1
    assert "keep no versions" in wrong.stderr


def test_the_ranker_goes_back_to_a_version_that_it_has_kept(stack, client):
    """As the help shows, with a version that there is."""

    def ranker():
        return next(model for model in client.list_models() if model.name == "ranker")

    # It learns from the 2,000th click on, from one in two, and keeps a version after 200 cases.
    for _ in range(30):
        visits = (views(fresh("ranked"), ["a", "b", "c", "d", "e"]) for _ in range(20))
        client.put_events(list(chain.from_iterable(visits)))
    kept = eventually(lambda: ranker().kept_versions, bool, "a kept version")
    *words, _ = words_of(("models", "roll-back"))
    done = run_cli(*words, str(kept[-1]), "--grpc-port", str(stack.ports.grpc))
    assert done.returncode == 0, done.stderr
    eventually(lambda: ranker().rolled_back_to, lambda version: version == kept[-1], "its return")
