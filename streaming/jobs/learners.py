"""The learners' jobs: vectors from `sessions` and `items`, the ranker from `examples`.

Submit both with ``nextclick jobs submit learners``: one graph in one slot, for one machine. In
production each may be a job of its own: ``vectors`` and ``ranker``.
"""

from __future__ import annotations

import argparse
from functools import partial

from pyflink.datastream import StreamExecutionEnvironment

from nextclick.topics import COMMANDS, EXAMPLES, ITEMS, SESSIONS, topic
from streaming.jobs.flink import environment, output_type, read_keyed, write_records
from streaming.jobs.learner_operator import Learn
from streaming.learn_ranker import RankerTask
from streaming.learn_vectors import VectorsTask

MODELS = ("vectors", "ranker")


def main(models: tuple[str, ...] = MODELS) -> None:
    """Build the job graph and hand it to the cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kafka", required=True, help="bootstrap servers, host:port")
    parser.add_argument("--tenant", default="", help="prefix of the topics")
    parser.add_argument("--max-items", type=int, default=1 << 18, help="items with vectors")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random")
    args = parser.parse_args()
    env = environment()
    env.set_parallelism(1)
    for model in models:
        {"vectors": add_vectors, "ranker": add_ranker}[model](env, args)
    name = "learners" if models == MODELS else models[0]
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


def _add(
    env: StreamExecutionEnvironment,
    args: argparse.Namespace,
    model: str,
    topics: list[str],
    learn: Learn,
) -> None:
    group = topic(f"{model}-job", args.tenant)
    records = read_keyed(env, args.kafka, topics, group, f"{model}-input", apart=False)
    out = records.process(learn, output_type()).name(f"learn-{model}").uid(f"learn-{model}")
    write_records(out, args.kafka, model)


if __name__ == "__main__":
    main()
