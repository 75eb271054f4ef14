"""Why a program has ended, by what it has said: a line, and not its stack trace."""

from __future__ import annotations

import re

CAUSED_BY = re.compile(r"^\s*Caused by: (.*)$", re.MULTILINE)
TRACE = re.compile(r'^\s*(at [\w$.<>/@-]+\(|\.\.\. \d+ (more|common)|File "|Traceback |[\^~]+$)')
"""A line of a stack trace of Java or Python."""


def cause(said: str) -> str:
    r"""Return the innermost cause of the last Java trace, or else the last line that is no trace.

    >>> cause("Error: no\n\tat kafka.Kafka(Kafka.java:1)\nCaused by: a taken port\n\t... 9 more")
    'a taken port'
    >>> cause("starting\ncannot listen on 127.0.0.1:80\n")
    'cannot listen on 127.0.0.1:80'
    """
    causes = CAUSED_BY.findall(said)
    if causes:
        return str(causes[-1]).strip()
    lines = [line.strip() for line in said.splitlines() if line.strip() and not TRACE.match(line)]
    return lines[-1] if lines else "it has not said why"
