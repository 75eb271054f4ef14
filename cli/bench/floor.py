"""The floor of the sessions job, for `nextclick bench throughput`: the least that a job can do.

It parses an event, updates a pickled state of its key, and writes its bytes to the same keyed sink.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import orjson
from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ValueStateDescriptor

from nextclick.topics import EVENTS, SESSIONS, topic
from streaming.jobs.flink import environment, output_type, raw_record, read_keyed, write_records


class Touch(KeyedProcessFunction):  # type: ignore[misc]  # pyflink has no types
    """Counts the events of a key and passes them on."""

    def __init__(self, out: str) -> None:
        self._out = out

    def open(self, runtime_context: RuntimeContext) -> None:
        """Declare the state."""
        descriptor = ValueStateDescriptor("count", Types.PICKLED_BYTE_ARRAY())
        self._state = runtime_context.get_state(descriptor)

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Process one record (see ``Records.recordType``)."""
        raw = raw_record(value)
        session_id = orjson.loads(raw.value)["session_id"]
        self._state.update((self._state.value() or 0) + 1)
        yield Row(self._out, session_id.encode(), raw.value, "")


def main() -> None:
    """Build the job graph and hand it to the cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kafka", required=True, help="bootstrap servers, host:port")
    parser.add_argument("--tenant", default="", help="prefix of the topics that it reads")
    parser.add_argument("--out", default="floor", help="prefix of the topics that it writes")
    args = parser.parse_args()
    env = environment()
    env.set_parallelism(1)
    group = topic("floor-job", args.tenant)
    events = read_keyed(env, args.kafka, [topic(EVENTS, args.tenant)], group, "events")
    out = events.process(Touch(topic(SESSIONS, args.out)), output_type()).name("touch").uid("touch")
    write_records(out, args.kafka, "floor")
    env.execute(topic("floor", args.tenant))


if __name__ == "__main__":
    main()
