"""The sessions job: `events` in, `sessions` and `dead-letters` out.

Submit with ``nextclick jobs submit sessions``.
"""

from __future__ import annotations

import argparse

from nextclick.topics import EVENTS, topic
from streaming.jobs.flink import environment, output_type, read_keyed, write_records
from streaming.jobs.session_operator import Sessionize
from streaming.sessionize import RatingThresholds


def main() -> None:
    """Build the job graph and hand it to the cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kafka", required=True, help="bootstrap servers, host:port")
    parser.add_argument("--tenant", default="", help="prefix of the topics")
    parser.add_argument("--like-from", type=float, default=4.0, help="ratings that are likes")
    parser.add_argument("--dislike-to", type=float, default=2.0, help="ratings that are dislikes")
    parser.add_argument("--ttl-hours", type=int, default=48, help="life of an idle session's state")
    parser.add_argument("--parallelism", type=int, default=1)
    args = parser.parse_args()
    env = environment()
    env.set_parallelism(args.parallelism)
    events = read_keyed(
        env, args.kafka, [topic(EVENTS, args.tenant)], topic("sessions-job", args.tenant), "events"
    )
    ratings = RatingThresholds(args.like_from, args.dislike_to)
    out = (
        events.process(Sessionize(args.tenant, ratings, args.ttl_hours), output_type())
        .name("sessionize")
        .uid("sessionize")
    )
    write_records(out, args.kafka, "sessions")
    env.execute(topic("sessions", args.tenant))


if __name__ == "__main__":
    main()
