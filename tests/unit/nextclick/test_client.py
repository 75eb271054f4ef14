"""Both clients against a real server in this process that fails on cue."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

import nextclick
from nextclick import FieldFault, Filter, Item, RecommendRequest, retry
from nextclick.v1 import catalog_service_pb2 as catalog_pb
from nextclick.v1 import model_service_pb2 as model_pb
from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.nextclick.fake_server import Fake, bad_request, serving


def test_recommendation_is_typed(client: Any, fake: Fake) -> None:
    """If it failed, backends would get wrong or missing parts of an answer."""
    fake.answers = [
        pb.RecommendResponse(
            recommendation_id="r",
            items=[
                pb.ScoredItem(
                    item_id="b",
                    score=0.5,
                    reasons=[pb.Reason(source="rules", share=0.25, because_item_ids=["a"])],
                    next_click_probability=0.125,
                ),
                pb.ScoredItem(item_id="c", score=0.25),
            ],
            session_version=3,
            model_version=2**40,
            model_lag_ms=7,
            degraded=[pb.DEGRADED_REASON_REDIS_UNAVAILABLE, 99],
            source=pb.ANSWER_SOURCE_SESSION,
            timings=[pb.StageTiming(stage="score", duration_us=80)],
        )
    ]
    answer = client.recommend(
        "s",
        page_size=5,
        session_items=["a"],
        filter=Filter(categories=("c",), exclude_seen=True),
        explain=True,
    )
    assert answer == nextclick.Recommendation(
        items=(
            nextclick.RecommendedItem("b", 0.5, (nextclick.Reason("rules", 0.25, ("a",)),), 0.125),
            nextclick.RecommendedItem("c", 0.25, (), None),
        ),
        recommendation_id="r",
        session_version=3,
        model_version=2**40,
        model_lag_ms=7,
        degraded=("redis_unavailable", "99"),
        source="session",
        timings={"score": 80},
    )
    assert answer.item_ids == ("b", "c")
    assert fake.requests == [
        pb.RecommendRequest(
            session_id="s",
            page_size=5,
            session_items=["a"],
            filter=pb.ItemFilter(categories=["c"], exclude_seen=True),
            explain=True,
        )
    ]


def test_neighbours_by_what_there_is_not_are_refused(client: Any) -> None:
    """The server would answer with its default, and nobody would notice."""
    with pytest.raises(nextclick.InvalidRequestError, match="by: is 'looks'; choose one of"):
        client.similar_items("a", by="looks")


def test_other_calls_send_and_give_what_they_name(client: Any, fake: Fake) -> None:
    """If it failed, one of the calls would go to the wrong method or lose its arguments."""
    scored = [pb.ScoredItem(item_id="b", score=1.0)]
    expected = (nextclick.RecommendedItem("b", 1.0),)
    item = Item("b", available=False, categories=("c",), attributes={"k": "v"}, title="B")

    fake.answers = [pb.RankResponse(items=scored, session_version=2)]
    ranked = client.rank(["b"], user_id="u", session_items=["a"])
    assert (ranked.items, ranked.session_version) == (expected, 2)
    fake.answers = [pb.SimilarItemsResponse(items=scored, model_version=4)]
    assert client.similar_items("a", page_size=3).items == expected
    fake.answers = [pb.SimilarItemsResponse(items=scored)]
    assert client.similar_items("a", by="mix").items == expected
    fake.answers = [pb.TrendingResponse(items=scored)]
    assert client.trending(filter=Filter(include_unavailable=True)).items == expected
    fake.answers = [catalog_pb.PutItemsResponse(accepted=1)]
    assert client.put_items([item]) == 1
    put = fake.requests[-1].items[0]
    fake.answers = [catalog_pb.GetItemsResponse(items=[put])]
    assert client.get_items(["b"]) == [item]
    fake.answers = [catalog_pb.DeleteItemsResponse(accepted=1)]
    assert client.delete_items(["b"]) == 1
    assert fake.requests == [
        pb.RankRequest(user_id="u", item_ids=["b"], session_items=["a"]),
        pb.SimilarItemsRequest(item_id="a", page_size=3),
        pb.SimilarItemsRequest(item_id="a", by=pb.SIMILARITY_MIX),
        pb.TrendingRequest(filter=pb.ItemFilter(include_unavailable=True)),
        catalog_pb.PutItemsRequest(items=[put]),
        catalog_pb.GetItemsRequest(item_ids=["b"]),
        catalog_pb.DeleteItemsRequest(item_ids=["b"]),
    ]


def test_batch_takes_session_ids_and_whole_requests(client: Any, fake: Fake) -> None:
    """If it failed, signed-in visitors or tails of sessions could not be asked for in a batch."""
    answers = [pb.RecommendResponse(session_version=version) for version in (3, 4)]
    fake.answers = [pb.BatchRecommendResponse(responses=answers)]
    whole = RecommendRequest(user_id="u", session_items=["a"], explain=True)
    batch = client.recommend_batch(["s", whole], page_size=5, filter=Filter(exclude_seen=True))
    assert [answer.session_version for answer in batch] == [3, 4]
    (request,) = fake.requests
    assert list(request.requests) == [
        pb.RecommendRequest(session_id="s", page_size=5, filter=pb.ItemFilter(exclude_seen=True)),
        pb.RecommendRequest(user_id="u", session_items=["a"], explain=True),
    ]


def test_models_are_shown_and_steered(client: Any, fake: Fake) -> None:
    """If it failed, a command would go to another model, or unknown figures be taken for 0."""
    ranker = model_pb.Model(
        name="ranker",
        version=12,
        examples=300,
        answering=True,
        rolled_back_to=7,
        kept_versions=[7, 9],
        age_ms=80,
        hit_rate=0.75,
        mrr=0.0,
    )
    fake.answers = [
        model_pb.ListModelsResponse(models=[ranker, model_pb.Model(name="vectors", age_ms=-1)])
    ]
    assert client.list_models() == [
        nextclick.Model("ranker", 12, 300, True, False, 7, (7, 9), 80, 0.75, 0.0),
        nextclick.Model("vectors", 0, 0, False, False, 0, (), None, None, None),
    ]
    fake.answers = [model_pb.PauseLearningResponse()]
    assert client.pause_learning("vectors") is None
    fake.answers = [model_pb.ResumeLearningResponse()]
    assert client.resume_learning("vectors") is None
    fake.answers = [model_pb.RollBackResponse()]
    assert client.roll_back("ranker", 9) is None
    assert fake.requests == [
        model_pb.ListModelsRequest(),
        model_pb.PauseLearningRequest(model="vectors"),
        model_pb.ResumeLearningRequest(model="vectors"),
        model_pb.RollBackRequest(model="ranker", version=9),
    ]


def test_bad_request_names_every_field(client: Any, fake: Fake) -> None:
    """If it failed, a caller would have to guess what the server did not like."""
    fake.answers = [bad_request(("page_size", "send 1 to 500"), ("session_id", "is missing"))]
    with pytest.raises(nextclick.InvalidRequestError) as caught:
        client.recommend(page_size=501)
    assert caught.value.faults == (
        FieldFault("page_size", "send 1 to 500"),
        FieldFault("session_id", "is missing"),
    )
    assert "page_size: send 1 to 500" in str(caught.value)
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("code", "error", "attempts"),
    [
        (grpc.StatusCode.UNAVAILABLE, nextclick.UnavailableError, 3),
        (grpc.StatusCode.CANCELLED, nextclick.UnavailableError, 3),
        (grpc.StatusCode.NOT_FOUND, nextclick.NotFoundError, 1),
        (grpc.StatusCode.INVALID_ARGUMENT, nextclick.InvalidRequestError, 1),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, nextclick.OverloadedError, 1),
        (grpc.StatusCode.DEADLINE_EXCEEDED, nextclick.DeadlineExceededError, 1),
        (grpc.StatusCode.INTERNAL, nextclick.ServerError, 1),
        (grpc.StatusCode.UNKNOWN, nextclick.ServerError, 1),
    ],
)
def test_each_failure_has_its_error(
    client_type: Any, fake: Fake, target: str, code: grpc.StatusCode, error: Any, attempts: int
) -> None:
    """If it failed, callers could not tell what to do, or would retry what cannot succeed."""
    fake.answers = [code]
    with (
        client_type(target, timeout_s=60.0, retries=2) as client,
        pytest.raises(error, match="the test says so"),
    ):
        client.similar_items("a")
    assert len(fake.requests) == attempts


def test_deadline_covers_all_attempts(
    client_type: Any, fake: Fake, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it failed, retries would hold a page longer than the caller allowed."""
    now = 0.0
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=lambda: now))
    released = threading.Event()

    def down(context: grpc.ServicerContext) -> None:
        nonlocal now
        now += 19.0
        context.abort(grpc.StatusCode.UNAVAILABLE, "down")

    def slow(_: grpc.ServicerContext) -> pb.TrendingResponse:
        released.wait(60)
        return pb.TrendingResponse()

    fake.answers = [down, down, down, slow]
    with (
        client_type(target, timeout_s=60.0, retries=100) as client,
        pytest.raises(nextclick.DeadlineExceededError, match="timeout_s"),
    ):
        client.trending()
    released.set()
    # Near 60 and 3: gRPC converts deadlines between clocks, which a busy machine makes inexact.
    assert fake.seconds_left[0] > 30 > fake.seconds_left[3]


def test_no_attempt_after_the_deadline(client_type: Any, fake: Fake, target: str) -> None:
    """If it failed, the last pause would run past the deadline for nothing."""
    fake.answers = [grpc.StatusCode.UNAVAILABLE]
    with (
        client_type(target, timeout_s=0.3, retries=1_000_000) as client,
        pytest.raises((nextclick.UnavailableError, nextclick.DeadlineExceededError)),
    ):
        client.trending()
    # Else it would have gone on for days.
    assert len(fake.requests) < 10


def test_server_that_is_not_there(client_type: Any) -> None:
    """If it failed, a backend would see a grpc error instead of one that it can act on."""
    with (
        client_type("127.0.0.1:1", timeout_s=0.5) as client,
        pytest.raises((nextclick.UnavailableError, nextclick.DeadlineExceededError)),
    ):
        client.recommend("s")


def test_server_that_comes_back_is_found_at_once(client_type: Any, fake: Fake) -> None:
    """If it failed, a restart of the server would cost each backend a second more."""
    fake.answers = [pb.TrendingResponse(model_version=7)]
    with serving(fake) as target:
        pass
    with client_type(target, timeout_s=60.0) as client:
        with pytest.raises(nextclick.UnavailableError):
            client.trending()
        with serving(fake, target):
            assert client.trending().model_version == 7


def test_faulty_items_are_refused_with_their_places(client: Any, fake: Fake) -> None:
    """If it failed, protobuf's own errors, or the server, would have to say it."""
    with pytest.raises(nextclick.InvalidRequestError) as caught:
        client.put_items([Item("ok"), Item("", title="x" * 2_000), Item("gone", deleted=True)])
    assert [fault.field for fault in caught.value.faults] == [
        "items[1].item_id",
        "items[1].title",
        "items[2].deleted",
    ]
    assert fake.requests == []


def test_wrong_argument_types_are_invalid_requests(client: Any, fake: Fake) -> None:
    """If it failed, a string would be sent as a list of its letters, or a TypeError escape."""
    for call in (
        lambda: client.get_items("abc"),
        lambda: client.rank("abc", "s"),
        lambda: client.recommend("s", session_items="abc"),
        lambda: client.recommend("s", page_size=-1),
        lambda: client.recommend(7),
        lambda: client.recommend("\ud800"),
        lambda: client.recommend_batch("abc"),
        lambda: client.recommend_batch([7]),
        lambda: client.roll_back("ranker", -1),
        lambda: client.trending(filter=Filter(categories="shoes")),
        lambda: client.trending(filter=Filter(categories=[7])),  # type: ignore[list-item]
    ):
        with pytest.raises(nextclick.InvalidRequestError):
            call()
    assert fake.requests == []
