"""The command line as people start it: a process of its own."""

import os
import subprocess
import sys

from cli.stack.layout import PROJECT

ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'proto'}"}


def run(*args, timeout=900, cwd=None):
    """Run ``nextclick`` with arguments; returns the finished process with its output as text."""
    argv = [sys.executable, "-m", "cli", *args]
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT, cwd=cwd, check=False
    )
