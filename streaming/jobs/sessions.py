"""The sessions job: `events` in, `sessions` and `dead-letters` out.

Submit with ``nextclick jobs submit sessions``.
"""

from __future__ import annotations

from functools import partial

from streaming.jobs.arguments import job_parser
from streaming.jobs.keyed_process import run
from streaming.jobs.registry import JOBS
from streaming.session_outputs import to_outputs
from streaming.sessionize import RatingThresholds


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
        "--ttl-hours", type=int, default=48, help="hours until the state of an idle session expires"
    )
    parser.add_argument(
        "--parallelism", type=int, default=1, help="parallel instances, one slot each"
    )
    args = parser.parse_args()
    run(
        JOBS[args.job],
        partial(to_outputs, ratings=RatingThresholds(args.like_from, args.dislike_to)),
        kafka=args.kafka,
        tenant=args.tenant,
        uid="sessionize",
        state="session",
        ttl_hours=args.ttl_hours,
        parallelism=args.parallelism,
    )


if __name__ == "__main__":
    main()
