"""The Java runtime of Kafka and Flink."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from cli.errors import CommandError


@cache
def java_home() -> Path:
    """Return the folder of a Java 17 or 21: ``JAVA_HOME``, else that of ``java``.

    Raises
    ------
    CommandError
        If there is none.
    """
    candidates = [os.environ.get("JAVA_HOME", "")]
    program = shutil.which("java")
    if program:
        candidates.append(str(Path(program).resolve().parents[1]))
    found = ""
    for candidate in filter(None, candidates):
        java = Path(candidate) / "bin" / "java"
        if java.exists():
            version = subprocess.run(
                [java, "-version"], capture_output=True, text=True, check=False
            )
            match = re.search(r'version "(\d+)', version.stderr)
            found = match[1] if match else "?"
            if match and int(match[1]) in (17, 21):
                return Path(candidate)
    raise CommandError(
        f"Java 17 or 21 is needed (found: {found or 'none'}): install openjdk-17-jdk, or set "
        "JAVA_HOME to the folder of one"
    )
