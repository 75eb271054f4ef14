"""The jobs downstream of the sessions job: the learners and the live score.

Vectors from `sessions` and `items`, the ranker from `examples`, the live score from `impressions`
and `sessions`. ``nextclick jobs submit learners`` submits all of them as one graph in one slot, for
one machine. In production, each can be a job of its own: ``vectors``, ``ranker`` and ``score``.
"""

from __future__ import annotations

from functools import partial
from pkgutil import resolve_name

from pyflink.datastream import StreamExecutionEnvironment

from nextclick.topics import topic
from streaming.jobs.arguments import job_parser, sent
from streaming.jobs.batches import read_batches
from streaming.jobs.flink import environment, output_type, write_records
from streaming.jobs.registry import JOBS, Part
from streaming.jobs.task_operator import TaskOperator
from streaming.tasks.task import TaskOptions


def main() -> None:
    """Build the graph of the named job and submit it to the cluster."""
    parser = job_parser(__doc__)
    parser.add_argument(
        "--max-items", type=int, default=1 << 18, help="the most items with vectors"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    args = parser.parse_args()
    job = JOBS[args.job]
    env = environment(sent=sent(args))
    options = TaskOptions(args.tenant, args.max_items, args.seed)
    for part in job.parts:
        _add(env, args.kafka, part, options)
    env.execute(topic(job.name, args.tenant))


def _add(env: StreamExecutionEnvironment, kafka: str, part: Part, options: TaskOptions) -> None:
    """Add a part, its input and its output to a job."""
    tenant = options.tenant
    names = [topic(name, tenant) for name in part.topics]
    group, name = topic(part.group, tenant), part.name
    batches = read_batches(env, kafka, names, group, uid=f"{name}-input")
    operator = TaskOperator(partial(resolve_name(part.hosts), options), tenant)
    out = batches.process(operator, output_type()).name(part.operator).uid(part.operator)
    write_records(out, kafka, uid=name)


if __name__ == "__main__":
    main()
