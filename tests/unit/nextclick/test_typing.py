"""The installed package as a type checker sees it from a backend's own program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nextclick import Client

ROOT = Path(__file__).parents[3]

RIGHT = """
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from typing import assert_type

import nextclick
from nextclick import (
    AsyncClient,
    Client,
    Context,
    Event,
    EventError,
    Feature,
    FeatureValues,
    FieldFault,
    Filter,
    Item,
    Model,
    Profile,
    ProfileItem,
    PutResult,
    Reason,
    Recommendation,
    RecommendedItem,
    RecommendRequest,
    Similarity,
    Tls,
    User,
)

Answers = list[Recommendation]


def blocking(client: Client) -> None:
    whole = RecommendRequest(user_id="u", session_items=["a"], filter=Filter(categories=["c"]))
    assert_type(client.recommend("s", page_size=5, explain=True), Recommendation)
    assert_type(client.recommend_batch(["s", whole], filter=Filter()), Answers)
    stream = client.recommend_stream((name for name in ["s", "t"]), page_size=5)
    assert_type(stream, Generator[Recommendation, None, None])
    assert_type(client.rank(["a"], user_id="u"), Recommendation)
    by: Similarity = "content"
    assert_type(client.similar_items("a", by=by), Recommendation)
    assert_type(client.trending(), Recommendation)
    assert_type(client.put_events(nextclick.with_event_ids([Event("view", "a", 1)])), PutResult)
    assert_type(client.put_items([Item("a", categories=("c",))]), int)
    assert_type(client.get_items(["a"]), list[Item])
    assert_type(client.delete_items(["a"]), int)
    assert_type(client.put_users([User("u", segments=("new",), consent=False)]), int)
    assert_type(client.get_users(["u"]), list[User])
    assert_type(client.delete_users(["u"]), int)
    assert_type(client.get_profiles(["u"]), list[Profile])
    assert_type(client.list_models(), list[Model])
    assert_type(client.list_features("item"), list[Feature])
    assert_type(client.get_features("s", item_ids=["a"]), FeatureValues)
    client.pause_learning("ranker")
    client.resume_learning("ranker")
    client.roll_back("ranker", 3)
    client.close()


async def asynchronous(client: AsyncClient, sessions: AsyncIterator[str]) -> None:
    assert_type(await client.recommend("s", explain=True), Recommendation)
    assert_type(await client.recommend_batch(["s"]), Answers)
    stream = client.recommend_stream(sessions)
    assert_type(stream, AsyncGenerator[Recommendation, None])
    async for answer in client.recommend_stream(["s"]):
        assert_type(answer, Recommendation)
    assert_type(await client.rank(["a"], "s"), Recommendation)
    assert_type(await client.similar_items("a"), Recommendation)
    assert_type(await client.trending(), Recommendation)
    assert_type(await client.put_events([Event("view", "a", 1, user_id="u")]), PutResult)
    assert_type(await client.put_items([Item("a")]), int)
    assert_type(await client.get_items(["a"]), list[Item])
    assert_type(await client.delete_items(["a"]), int)
    assert_type(await client.put_users([User("u", attributes={"plan": "pro"})]), int)
    assert_type(await client.get_users(["u"]), list[User])
    assert_type(await client.delete_users(["u"]), int)
    assert_type(await client.get_profiles(["u"]), list[Profile])
    assert_type(await client.list_models(), list[Model])
    assert_type(await client.list_features(), list[Feature])
    assert_type(await client.get_features(user_id="u", names=["x"]), FeatureValues)
    await client.pause_learning("ranker")
    await client.resume_learning("ranker")
    await client.roll_back("ranker", 3)
    await client.close()


def results(answer: Recommendation, put: PutResult, model: Model, profile: Profile) -> None:
    assert_type(answer.items, tuple[RecommendedItem, ...])
    assert_type(answer.items[0].next_click_probability, float | None)
    assert_type(answer.items[0].reasons, tuple[Reason, ...])
    assert_type(answer.timings, Mapping[str, int])
    assert_type(put.errors, tuple[EventError, ...])
    assert_type(put.errors[0].faults, tuple[FieldFault, ...])
    assert_type(model.age_ms, int | None)
    assert_type(model.kept_versions, tuple[int, ...])
    assert_type(profile.items, tuple[ProfileItem, ...])
    assert_type(profile.purchased, Mapping[str, int])
    assert_type(profile.categories, Mapping[str, float])


def errors(client: Client) -> str:
    try:
        client.trending()
    except nextclick.InvalidRequestError as error:
        return error.faults[0].description
    except (nextclick.UnavailableError, nextclick.OverloadedError) as error:
        return error.status
    return nextclick.encode_event(Event("view", "a", 1)).decode()


async def main() -> None:
    with Client("10.0.0.1:1,10.0.0.2:1", timeout_s=0.5, retries=1, token="secret") as client:
        assert_type(client, Client)
    secured = Tls("ca.pem", "client.pem", "client-key.pem")
    async with AsyncClient("localhost:50051", hedge_after_s=0.05, tls=secured) as client_async:
        assert_type(client_async, AsyncClient)


asyncio.run(main())
"""

WRONG = """
from nextclick import AsyncClient, Client, Event, Item, RecommendRequest, Recommendation
from nextclick import Clint  # wrong

client = Client("localhost:50051")
Client("localhost:50051", timeout=1.0)  # wrong
client.recommend(7)  # wrong
client.recommend("s", 5)  # wrong
client.recommend_batch([b"s"])  # wrong
client.recommend_stream([1])  # wrong
client.rank("s", ["a"])  # wrong
client.put_events([Item("a")])  # wrong
client.put_items([{"item_id": "a"}])  # wrong
client.roll_back("ranker", "3")  # wrong
client.recommend("s").items[0].probability  # wrong
client.recommend("s").items[0].next_click_probability + 1.0  # wrong
client.recommend("s").model_version = 3  # wrong
client.similar_items("a", by="price")  # wrong
client.put_users(["u"])  # wrong
client.get_profiles(["u"])[0].items = ()  # wrong
client.list_models()[0].age_ms + 1  # wrong
Event("view", "a", "now")  # wrong
RecommendRequest(page_size="5")  # wrong


async def main(client: AsyncClient) -> Recommendation:
    await client.recommend_stream(["s"])  # wrong
    return client.recommend("s")  # wrong
"""


def test_the_right_program_uses_the_whole_client() -> None:
    """If it failed, a method could return `Any` unseen."""
    for name in vars(Client):
        if not name.startswith("_"):
            assert len(re.findall(rf"\bclient\.{name}\(", RIGHT)) >= 2, name


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``site``, where the package alone is, as a wheel would install it."""
    folder = tmp_path_factory.mktemp("outside")
    built = folder / "built"
    steps = ["-q", "egg_info", "--egg-base", str(folder), "build_py", "--build-lib", str(built)]
    code = f"import setuptools; setuptools.setup(script_args={steps!r})"
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "proto", check=True, capture_output=True
    )
    shutil.move(built / "nextclick", folder / "site" / "nextclick")
    return folder


def _mypy(outside: Path, *programs: str) -> tuple[set[tuple[str, int]], str]:
    """Return the places of what mypy finds in programs of the folder, and its whole output."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", *programs],
        cwd=outside,
        env={**os.environ, "PYTHONPATH": str(outside / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    places = re.findall(r"^([\w/.]+):(\d+): error", done.stdout, re.MULTILINE)
    return {(file, int(line)) for file, line in places}, done.stdout


def test_a_backend_in_strict_mypy_finds_no_fault_but_its_own(outside: Path) -> None:
    """If it failed, backends would see `Any`, or errors of ours, where the client's types are."""
    (outside / "right.py").write_text(RIGHT)
    (outside / "wrong.py").write_text(WRONG)
    readme = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert readme is not None
    (outside / "readme.py").write_text(readme[1])
    found, output = _mypy(outside, "right.py", "wrong.py", "readme.py")
    wrong = {
        ("wrong.py", number)
        for number, line in enumerate(WRONG.splitlines(), 1)
        if line.endswith("# wrong")
    }
    assert found == wrong, output


def test_package_without_its_marker_has_no_types(outside: Path) -> None:
    """If it failed, the test above would pass without `py.typed`."""
    marker = outside / "site" / "nextclick" / "py.typed"
    kept = marker.rename(outside / "py.typed")
    (outside / "unmarked.py").write_text("import nextclick\n")
    try:
        found, output = _mypy(outside, "unmarked.py")
    finally:
        kept.rename(marker)
    assert found == {("unmarked.py", 1)}
    assert "py.typed" in output
