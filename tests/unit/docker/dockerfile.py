"""Dockerfiles and the compose file, parsed."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import yaml

from cli.stack.layout import PROJECT

DOCKER = PROJECT / "docker"
IMAGES = ("server", "jobs", "demo")


class Instruction(NamedTuple):
    """A line of a Dockerfile: its keyword, and all that follows."""

    keyword: str
    words: str


def stages(image: str) -> list[list[Instruction]]:
    """Return the instructions of each stage of an image; first those before any stage."""
    text = (DOCKER / image / "Dockerfile").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    found: list[list[Instruction]] = [[]]
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            instruction = Instruction(*line.split(None, 1))
            if instruction.keyword == "FROM":
                found.append([])
            found[-1].append(instruction)
    return found


def last_stage(image: str, keyword: str) -> list[str]:
    """Return what follows a keyword, each time that the image's last stage has it."""
    return [words for name, words in stages(image)[-1] if name == keyword]


def variables(image: str) -> dict[str, str]:
    """Return the environment that an image sets."""
    pairs = (pair for words in last_stage(image, "ENV") for pair in words.split())
    return dict(pair.split("=", 1) for pair in pairs)


def command(image: str) -> list[str]:
    """Return the command of an image."""
    [words] = last_stage(image, "CMD")
    return list(json.loads(words))


def exposed(image: str) -> set[str]:
    """Return the ports of an image."""
    return {port for words in last_stage(image, "EXPOSE") for port in words.split()}


def folders(image: str) -> set[str]:
    """Return the folders that an image's user may write to."""
    [run] = [words for words in last_stage(image, "RUN") if "install -d" in words]
    return set(re.search(r"install -d -o 10001 -g 10001 ([^&]+)", run)[1].split())  # type: ignore[index]


def compose() -> dict[str, Any]:
    """Return the compose file, with the values of `docker/.env` in it."""
    text = (DOCKER / "compose.yaml").read_text()
    return dict(yaml.safe_load(re.sub(r"\$\{(\w+)\}", lambda m: dotenv()[m[1]], text)))


def dotenv() -> dict[str, str]:
    """Return the variables of `docker/.env`."""
    lines = (DOCKER / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
