"""The command line as people start it: a process of its own."""

import os
import subprocess
import sys

from cli.stack.layout import PROJECT

ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'proto'}"}


def run(*args, timeout=900, cwd=None, env=None):
    """Run ``nextclick`` with arguments; returns the finished process with its output as text.

    ``env`` are variables beside those of this process.
    """
    argv = [sys.executable, "-m", "cli", *args]
    variables = ENVIRONMENT | (env or {})
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=timeout, env=variables, cwd=cwd, check=False
    )
