"""The floor of the sessions job, for `nextclick bench throughput`: the least that a job can do.

It parses an event, counts the events of its key in a state, and writes its bytes to the same sink.
"""

from __future__ import annotations

import orjson

from nextclick.topics import EVENTS, SESSIONS
from streaming.jobs.registry import Job, Part
from streaming.output import Output
from streaming.raw_record import RawRecord

FLOOR = Job("floor", "cli.bench.floor", (Part("floor", (EVENTS,), "cli.bench.floor:touch"),))


def touch(state: bytes | None, raw: RawRecord) -> tuple[bytes | None, tuple[Output, ...]]:
    """Count the events of a key and pass them on."""
    session_id = orjson.loads(raw.value)["session_id"]
    count = int.from_bytes(state or b"", "little") + 1
    return count.to_bytes(8, "little"), (Output(SESSIONS, session_id.encode(), raw.value),)


def main() -> None:
    """Build the job graph and hand it to the cluster."""
    from streaming.jobs.arguments import job_parser  # noqa: PLC0415 - only in Flink's process
    from streaming.jobs.keyed_process import run  # noqa: PLC0415 - loads Flink

    parser = job_parser(__doc__)
    parser.add_argument("--out", default="floor", help="prefix of the topics that it writes")
    args = parser.parse_args()
    run(
        FLOOR,
        touch,
        kafka=args.kafka,
        tenant=args.tenant,
        uid="touch",
        state="count",
        out_tenant=args.out,
    )


if __name__ == "__main__":
    main()
