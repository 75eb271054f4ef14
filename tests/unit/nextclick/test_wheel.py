"""The client as its users get it: a wheel of its own, in a fresh environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.nextclick.fake_server import Fake, bad_request

ROOT = Path(__file__).parents[3]
PROTO = ROOT / "proto"

MAX_BYTES = 200_000

BRINGS = {"nextclick-client", "googleapis-common-protos", "grpcio", "orjson", "protobuf"}
BRINGS |= {"typing-extensions"}  # which grpcio requires
"""What an environment has with the client in it."""

PROGRAM = """
import asyncio, sys
import nextclick

target = sys.argv[1]
with nextclick.Client(target, timeout_s=60.0) as client:
    print(client.recommend("s", page_size=2).item_ids)
    try:
        client.recommend("s", page_size=501)
    except nextclick.InvalidRequestError as error:
        print(error)


async def main():
    async with nextclick.AsyncClient(target, timeout_s=60.0) as client:
        print((await client.recommend("s", page_size=2)).item_ids)


asyncio.run(main())
print(nextclick.encode_event(nextclick.Event("view", "a", 1, "s", event_id="e")).decode())
"""

PRINTED = """('a', 'b')
page_size: send 1 to 500
('a', 'b')
{"v":1,"event_id":"e","type":"view","session_id":"s","item_id":"a","timestamp_ms":1}
"""


def _pip(*arguments: str) -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "NewConnectionError" in done.stderr:
        pytest.skip("there is no package index to install from")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the client, built from a copy of the sources, which stay clean."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    shutil.copytree(PROTO, sources, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    _pip("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(sources))
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_the_client_and_nothing_else(wheel: Path) -> None:
    """If it failed, each backend would carry the server, or miss a part of the client."""
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {name for name in names if not name.startswith("nextclick_client-")}
    committed = subprocess.run(
        ["git", "ls-files", "nextclick"], cwd=PROTO, capture_output=True, text=True, check=True
    ).stdout.split()
    assert ours == set(committed)
    assert any(name.endswith("/LICENSE") for name in names - ours)
    assert wheel.stat().st_size < MAX_BYTES


@pytest.mark.parametrize("protobuf", ["protobuf==5.29.*", "protobuf"])
def test_the_wheel_alone_is_enough(
    wheel: Path, protobuf: str, fake: Fake, target: str, tmp_path: Path
) -> None:
    """If it failed, a backend with another protobuf could not even import the client."""
    home = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    _pip("--python", str(python), "install", "-q", "--only-binary=:all:", str(wheel), protobuf)
    listed = _pip("--python", str(python), "list", "--format=freeze").split()
    installed = dict(line.split("==") for line in listed)
    assert {name.lower().replace("_", "-") for name in installed} <= BRINGS
    assert installed["protobuf"].startswith("5.29.") is (protobuf != "protobuf")

    answer = pb.RecommendResponse(items=[pb.ScoredItem(item_id="a"), pb.ScoredItem(item_id="b")])
    fake.answers = [answer, bad_request(("page_size", "send 1 to 500")), answer]
    done = subprocess.run(
        [str(python), "-I", "-W", "error", "-c", PROGRAM, target],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == (PRINTED, 0), done.stderr
