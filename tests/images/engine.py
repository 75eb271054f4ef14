"""Builds and runs the images with buildah, which needs no daemon and no container runtime.

A container is a process in the image's file system, in the network of this machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from cli.stack.layout import PROJECT

NEEDED = ("buildah", "debootstrap")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
OWN_CERTIFICATES = Path("/usr/local/share/ca-certificates")
NO_APT_CACHE = 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";\n'
"""So does the image of Debian, which saves 80 MB."""

SLIM = ("usr/share/doc/*/*", "usr/share/man/*", "usr/share/locale/*", "usr/share/info/*")
"""What Debian's own slim image leaves out of the base, but for copyright files."""

USER = "10001:10001"
BUILD_S = 3_600.0
END_S = 60.0


def missing() -> str:
    """Return why there can be no images here, empty if there can."""
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        return f"{' and '.join(lacking)} not installed"
    return "" if os.getuid() == 0 else "only root can build a base"


class Engine:
    """Builds images and runs containers, all below one folder.

    Parameters
    ----------
    folder
        Of images, containers and logs; it is large.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        storage = [f"--root={folder / 'storage'}", f"--runroot={folder / 'run'}"]
        self._buildah = ["buildah", *storage, "--storage-driver=vfs"]
        self._running: list[subprocess.Popen[bytes]] = []

    def make_base(self) -> None:
        """Make ``localhost/base`` from Debian's packages, as this machine gets them."""
        root = self._folder / "base"
        subprocess.run(
            ["debootstrap", "--variant=minbase", "bookworm", str(root), _mirror()],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=BUILD_S,
        )
        for pattern in ("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*", *SLIM):
            for path in root.glob(pattern):
                if path.name == "copyright":
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        (root / "etc/apt/apt.conf.d/docker-clean").write_text(NO_APT_CACHE)
        container = self._said("from", "scratch")
        mount = Path(self._said("mount", container))
        subprocess.run(["cp", "-a", f"{root}/.", str(mount)], check=True)
        shutil.rmtree(root)
        # What reaches the package registries from here; no Dockerfile knows of it.
        for source in (CERTIFICATES, Path("/etc/pip.conf"), *OWN_CERTIFICATES.glob("*.crt")):
            if source.exists():
                target = mount / source.relative_to("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        for name in ("PIP_CERT", "SSL_CERT_FILE"):
            self._said("config", "--env", f"{name}={CERTIFICATES}", container)
        self._said("commit", "--quiet", "--rm", container, "localhost/base")

    def build(self, image: str) -> None:
        """Build ``nextclick-IMAGE`` from its Dockerfile.

        Raises
        ------
        AssertionError
            With the last lines of the build, if it fails.
        """
        log = self._folder / f"build-{image}.log"
        argv = [*self._buildah, "build", "--isolation=chroot", "--layers=false", "--format=docker"]
        argv += ["--pull=never", "--build-arg=BASE=localhost/base"]
        argv += ["-f", f"docker/{image}/Dockerfile", "-t", f"nextclick-{image}", "."]
        with log.open("wb") as out:
            done = subprocess.run(
                argv, cwd=PROJECT, stdout=out, stderr=out, timeout=BUILD_S, check=False
            )
        assert done.returncode == 0, "\n".join(log.read_text().splitlines()[-40:])

    def inspect(self, image: str) -> dict[str, Any]:
        """Return what an image's configuration says, as Docker has it."""
        config = json.loads(self._said("inspect", "--type=image", f"nextclick-{image}"))["Docker"]
        return dict(config["config"])

    def root(self, container: str) -> Path:
        """Return the file system of a container."""
        return Path(self._said("mount", container))

    def container(self, image: str) -> str:
        """Make a container of an image, and return its name."""
        return self._said("from", "--pull=never", f"nextclick-{image}")

    def start(
        self, container: str, command: list[str], env: dict[str, str], log: Path, *volumes: str
    ) -> subprocess.Popen[bytes]:
        """Start a command in a container, as its user; it ends with `close`."""
        # A name that can be resolved, as Docker's are: Flink looks up its own.
        argv = [*self._buildah, "run", "--isolation=chroot", "--hostname=localhost"]
        argv += [f"--user={USER}"]
        argv += [f"--env={name}={value}" for name, value in env.items()]
        argv += [f"--volume={volume}" for volume in volumes]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*argv, container, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def run(self, container: str, command: list[str], env: dict[str, str], *volumes: str) -> str:
        """Run a command in a container, and return what it prints.

        Raises
        ------
        AssertionError
            With what it prints, if it fails.
        """
        log = self._folder / "run.log"
        code = self.start(container, command, env, log, *volumes).wait(BUILD_S)
        said = log.read_text()
        assert code == 0, said
        return said

    def close(self) -> None:
        """End whatever runs, the last one first."""
        for process in reversed(self._running):
            end(process)

    def _said(self, *words: str) -> str:
        done = subprocess.run(
            [*self._buildah, *words], capture_output=True, text=True, timeout=BUILD_S, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                continue


def _mirror() -> str:
    """Return where this machine's apt gets Debian's packages from."""
    for file in sorted(Path("/etc/apt").rglob("*.sources")) + sorted(
        Path("/etc/apt").rglob("*.list")
    ):
        for line in file.read_text().splitlines():
            found = re.match(r"(?:URIs:\s*|deb\s+(?:\[.*\]\s+)?)(\S+/debian/?)(\s|$)", line)
            if found:
                return found[1]
    raise AssertionError("apt's sources name no mirror of Debian")
