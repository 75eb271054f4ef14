"""Builds the generated clients where their toolchains are; what was built is kept for the next run.

npm's packages, Go's and Maven's caches are where these tools have them; what is compiled is beside
the sources, ignored by git.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "clients"
TYPESCRIPT, GO, JAVA = CLIENTS / "typescript", CLIENTS / "go", CLIENTS / "java"
PACKAGES = TYPESCRIPT / "node_modules"


def needs(*tools: str) -> None:
    """Skip the test unless all tools are there."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def run(*command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Return what a command prints; its output is the failure if it fails.

    ``env`` are variables beside those of this process.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def install_packages() -> None:
    """Install what `clients/typescript` needs, unless the same is there already."""
    needs("node", "npm")
    lock = (TYPESCRIPT / "package-lock.json").read_bytes()
    stamp, wanted = PACKAGES / ".nextclick", hashlib.sha256(lock).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        run("npm", "ci", "--no-audit", "--no-fund", cwd=TYPESCRIPT)
        stamp.write_text(wanted)


def typescript(folder: Path) -> list[str | Path]:
    """Pack the TypeScript client, install it into a project in ``folder``, as docs/clients.md says.

    Returns the command of its example there.
    """
    install_packages()
    (folder / "package.json").write_text('{"type": "module"}')
    run("npm", "pack", TYPESCRIPT, cwd=folder)
    (package,) = folder.glob("*.tgz")
    run("npm", "install", "--no-audit", "--no-fund", "--prefer-offline", package, cwd=folder)
    return ["node", shutil.copy(TYPESCRIPT / "dist" / "example" / "shop.js", folder)]


def go(folder: Path) -> list[str | Path]:
    """Build the Go client; return the command of its example, which is in ``folder``."""
    needs("go")
    run("go", "build", "-o", folder / "shop", "./example", cwd=GO)
    return [folder / "shop"]


def java() -> list[str | Path]:
    """Build the Java client; return the command of its example."""
    needs("mvn", "javac")
    run("mvn", "-q", "-B", "package", cwd=JAVA)
    built = JAVA / "target"
    path = os.pathsep.join(map(str, (built / "classes", built / "test-classes", built)))
    return ["java", "-cp", f"{path}/dependency/*", "nextclick.example.Shop"]
