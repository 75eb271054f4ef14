"""The sessions job: `events` in, `sessions` and `dead-letters` out; beside it, `profiles`.

The sessions of signed-in users go from one part to the other inside the job: those of anonymous
visitors cost nothing more, both parts share a slot, and after a failure both resume from the same
checkpoint. Submit with ``nextclick jobs submit sessions``.
"""

from __future__ import annotations

from functools import partial

from nextclick.topics import topic
from settings.jobs import JobSettings
from settings.load import load
from streaming.jobs.arguments import job_parser, sent
from streaming.jobs.flink import environment, handed_over
from streaming.jobs.keyed_process import KeyedProcess, TimedProcess, add
from streaming.jobs.registry import JOBS
from streaming.profiles import process, wake
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
    settings = load(JobSettings)
    job, tenant = JOBS[args.job], args.tenant
    env = environment(args.parallelism, sent(args))
    sessionize = KeyedProcess(
        partial(
            to_outputs,
            ratings=RatingThresholds(args.like_from, args.dislike_to),
            life_ms=settings.session_life_ms,
        ),
        tenant,
        state="session",
        ttl_ms=settings.session_life_ms * KEPT_LIVES,
    )
    life_ms = settings.profile_life_ms
    profile = TimedProcess(
        partial(process, life_ms=life_ms), partial(wake, life_ms=life_ms), tenant, state="profile"
    )
    sessions, profiles = job.parts
    out = add(env, sessions, sessionize, kafka=args.kafka, tenant=tenant, uid="sessionize")
    handed = handed_over(out)
    add(env, profiles, profile, kafka=args.kafka, tenant=tenant, uid="profile", beside=handed)
    env.execute(topic(job.name, tenant))


if __name__ == "__main__":
    main()
