"""The jobs behind the sessions job: what learns from it, and what scores its answers.

Vectors from `sessions` and `items`, the ranker from `examples`, the live score from `impressions`
and `sessions`. Submit all with ``nextclick jobs submit learners``: one graph in one slot, for one
machine. In production each may be a job of its own: ``vectors``, ``ranker`` and ``score``.
"""

from __future__ import annotations

import argparse
from functools import partial

from pyflink.datastream import StreamExecutionEnvironment

from nextclick.topics import COMMANDS, EXAMPLES, IMPRESSIONS, ITEMS, SESSIONS, topic
from streaming.jobs.flink import environment, output_type, read_keyed, write_records
from streaming.jobs.learner_operator import Learn
from streaming.tasks.ranker import RankerTask
from streaming.tasks.score import ScoreTask
from streaming.tasks.vectors import VectorsTask

PARTS = ("vectors", "ranker", "score")


def main(parts: tuple[str, ...] = PARTS) -> None:
    """Build the job graph and hand it to the cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kafka", required=True, help="bootstrap servers, host:port")
    parser.add_argument("--tenant", default="", help="prefix of the topics")
    parser.add_argument("--max-items", type=int, default=1 << 18, help="items with vectors")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random")
    args = parser.parse_args()
    env = environment()
    env.set_parallelism(1)
    for part in parts:
        {"vectors": add_vectors, "ranker": add_ranker, "score": add_score}[part](env, args)
    name = "learners" if parts == PARTS else parts[0]
    env.execute(topic(name, args.tenant))


def add_vectors(env: StreamExecutionEnvironment, args: argparse.Namespace) -> None:
    """Add the vectors' part to a job."""
    items, commands = topic(ITEMS, args.tenant), topic(COMMANDS, args.tenant)
    make = partial(VectorsTask, items, commands, args.max_items, args.seed)
    _add(
        env,
        args,
        "vectors",
        [items, topic(SESSIONS, args.tenant), commands],
        Learn(make, args.tenant),
    )


def add_ranker(env: StreamExecutionEnvironment, args: argparse.Namespace) -> None:
    """Add the ranker's part to a job."""
    commands = topic(COMMANDS, args.tenant)
    make = partial(RankerTask, commands, args.seed)
    _add(env, args, "ranker", [topic(EXAMPLES, args.tenant), commands], Learn(make, args.tenant))


def add_score(env: StreamExecutionEnvironment, args: argparse.Namespace) -> None:
    """Add the live score's part to a job."""
    topics = [topic(IMPRESSIONS, args.tenant), topic(SESSIONS, args.tenant)]
    _add(env, args, "score", topics, Learn(partial(ScoreTask, *topics), args.tenant))


def _add(
    env: StreamExecutionEnvironment,
    args: argparse.Namespace,
    part: str,
    topics: list[str],
    learn: Learn,
) -> None:
    group = topic(f"{part}-job", args.tenant)
    records = read_keyed(env, args.kafka, topics, group, f"{part}-input", apart=False)
    out = records.process(learn, output_type()).name(f"learn-{part}").uid(f"learn-{part}")
    write_records(out, args.kafka, part)


if __name__ == "__main__":
    main()
