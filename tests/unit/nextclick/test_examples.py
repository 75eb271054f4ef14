"""The examples of the clients' docstrings and of the README run as they are printed."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

from nextclick import AsyncClient, Client
from nextclick.v1 import event_service_pb2 as event_pb
from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.nextclick.fake_server import Fake

TARGET = "localhost:50051"
README = Path(__file__).parents[3] / "README.md"

PUT = event_pb.PutEventsResponse(accepted=1)
ANSWER = pb.RecommendResponse(
    items=[pb.ScoredItem(item_id="25"), pb.ScoredItem(item_id="38")], session_version=1
)


@pytest.mark.parametrize(("client", "answers"), [(Client, [PUT, ANSWER]), (AsyncClient, [ANSWER])])
def test_examples_of_the_clients_run(
    client: Any, answers: list[Any], fake: Fake, target: str
) -> None:
    """If it failed, what people copy first would not work."""
    fake.answers = list(answers)
    text = client.__doc__.replace(TARGET, target)
    assert target in text
    example = doctest.DocTestParser().get_doctest(text, {}, client.__name__, None, None)
    assert doctest.DocTestRunner().run(example).failed == 0
    assert len(fake.requests) == len(answers)


def test_example_of_the_readme_runs(
    fake: Fake, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """If it failed, a backend's first program would not work."""
    fake.answers = [PUT, ANSWER]
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert TARGET in code
    exec(compile(code.replace(TARGET, target), "README.md", "exec"), {})
    assert capsys.readouterr().out == "('25', '38') 1\n"
