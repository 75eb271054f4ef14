"""The sessions job: `events` in, `sessions` and `dead-letters` out.

Submit with ``nextclick jobs submit sessions``.
"""

from __future__ import annotations

from functools import partial

from settings.jobs import JobSettings
from settings.load import load
from streaming.jobs.arguments import job_parser, sent
from streaming.jobs.keyed_process import run
from streaming.jobs.registry import JOBS
from streaming.session_outputs import to_outputs
from streaming.sessionize import RatingThresholds

KEPT_LIVES = 2
"""Flink clears a state after so many times the time that it is used for: by the time of arrival
(`sessionize.process`), but Flink counts from the time of processing, and the job may lag: by one
life, and no state is missed."""


def main() -> None:
    """Build the job's graph and submit it to the cluster."""
    parser = job_parser(__doc__)
    parser.add_argument(
        "--like-from", type=float, default=4.0, help="ratings from here on are likes"
    )
    parser.add_argument(
        "--dislike-to", type=float, default=2.0, help="ratings up to here are dislikes"
    )
    parser.add_argument(
        "--parallelism", type=int, default=1, help="parallel instances, one slot each"
    )
    args = parser.parse_args()
    ratings = RatingThresholds(args.like_from, args.dislike_to)
    life_ms = load(JobSettings).session_life_ms
    run(
        JOBS[args.job],
        partial(to_outputs, ratings=ratings, life_ms=life_ms),
        kafka=args.kafka,
        tenant=args.tenant,
        uid="sessionize",
        state="session",
        ttl_ms=life_ms * KEPT_LIVES,
        parallelism=args.parallelism,
        sent=sent(args),
    )


if __name__ == "__main__":
    main()
