"""Arguments that every job takes."""

from __future__ import annotations

import argparse
from typing import NamedTuple


class Sent(NamedTuple):
    """What is sent along with a job, to a cluster that does not have it.

    Parameters
    ----------
    jars
        URLs of jars, on the machine that submits the job.
    packages
        Archive of Python packages, there too; empty: the cluster's interpreter has them.
    """

    jars: tuple[str, ...] = ()
    packages: str = ""


NOTHING = Sent()


def sent(args: argparse.Namespace) -> Sent:
    """Return what is sent along, from arguments that `job_parser` has read."""
    return Sent(tuple(args.jar), args.packages)


def job_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser for the job's name, the brokers, the tenant, and what is sent along."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("job", help="name of the job")
    parser.add_argument("--kafka", required=True, help="bootstrap servers, host:port")
    parser.add_argument("--tenant", default="", help="prefix of the topics")
    parser.add_argument("--jar", action="append", default=[], help="URL of a jar to send along")
    parser.add_argument("--packages", default="", help="archive of Python packages to send along")
    return parser
