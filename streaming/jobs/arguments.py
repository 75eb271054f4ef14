"""Arguments that every job takes."""

from __future__ import annotations

import argparse


def job_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser for the job's name, the brokers and the tenant."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("job", help="name of the job")
    parser.add_argument("--kafka", required=True, help="bootstrap servers, host:port")
    parser.add_argument("--tenant", default="", help="prefix of the topics")
    return parser
