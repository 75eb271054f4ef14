"""The audit log: who has done what to models and catalogue, and nothing about visitors."""

import json
import logging

import grpc
import pytest

from listeners.guard import UNGUARDED, guard_of
from listeners.tokens import Scope
from nextclick.v1 import (
    catalog_service_pb2,
    event_service_pb2,
    model_service_pb2,
    user_service_pb2,
)
from server.transport import audit
from server.transport.audit import ADMINISTRATIVE
from server.transport.methods import METHODS
from settings.log_lines import AUDIT, JsonLines, log_to_stderr
from settings.server import ServerSettings
from tests.tokens import write_tokens
from tests.unit.server.transport.served import LIMIT_S, Served, now


@pytest.fixture
def lines(caplog):
    """What the audit log says: message and caller of each line, as a server writes it."""
    caplog.set_level(logging.INFO, AUDIT)
    formatter = JsonLines("server", "")

    def said():
        written = [formatter.format(r) for r in caplog.records if r.name == AUDIT]
        return [(line["message"], line.get("caller")) for line in map(json.loads, written)]

    return said


@pytest.fixture(params=["with tokens", "without"])
def served(request, tmp_path):
    """A server, and the metadata and the name of its caller."""
    guard, metadata, caller = UNGUARDED, (), None
    if request.param == "with tokens":
        path = tmp_path / "tokens.json"
        caller = "night-shift"
        bearers = write_tokens(path, **{caller: tuple(Scope)})
        guard, metadata = guard_of(str(path), "", ""), bearers[caller].metadata
    served = Served(guard)
    yield served, {"timeout": LIMIT_S, "metadata": metadata}, caller
    served.close()


def test_each_administrative_call_is_a_line_with_its_outcome(served, lines):
    """Whoever looks into a model that got worse asks who has touched it."""
    served, how, caller = served
    pb = model_service_pb2
    served.models.PauseLearning(pb.PauseLearningRequest(model="ranker"), **how)
    served.models.ResumeLearning(pb.ResumeLearningRequest(model="vectors"), **how)
    for request in (
        pb.RollBackRequest(model="ranker", version=7),
        pb.RollBackRequest(model="visitor-17", version=7),
    ):
        with pytest.raises(grpc.RpcError):
            served.models.RollBack(request, **how)
    deletion = catalog_service_pb2.DeleteItemsRequest(item_ids=["a", "b"])
    served.catalogue.DeleteItems(deletion, **how)
    forgotten = user_service_pb2.DeleteUsersRequest(user_ids=["marked", "b", "c"])
    served.users.DeleteUsers(forgotten, **how)
    served.producer.gives_up = True
    with pytest.raises(grpc.RpcError):
        served.catalogue.DeleteItems(deletion, **how)
    assert lines() == [
        ("PauseLearning of ranker: OK", caller),
        ("ResumeLearning of vectors: OK", caller),
        ("RollBack: INVALID_ARGUMENT", caller),
        ("RollBack: INVALID_ARGUMENT", caller),
        ("DeleteItems of 2 items: OK", caller),
        ("DeleteUsers of 3 users: OK", caller),
        ("DeleteItems: UNAVAILABLE", caller),
    ]


def test_a_roll_back_is_told_with_its_version():
    """The one before is what the next one goes back to."""
    request = model_service_pb2.RollBackRequest(model="ranker", version=7)
    about = ADMINISTRATIVE["RollBack"](request.SerializeToString(), b"")
    assert about == " of ranker to version 7"


def test_a_call_that_found_no_thread_is_a_line_too(served, lines, monkeypatch):
    """It was tried, and by whom."""
    served, how, caller = served
    monkeypatch.setattr("server.transport.pool.Pool.submit", lambda *_: False)
    request = model_service_pb2.PauseLearningRequest(model="ranker")
    with pytest.raises(grpc.RpcError):
        served.models.PauseLearning(request, **how)
    assert lines() == [("PauseLearning: RESOURCE_EXHAUSTED", caller)]


def test_refused_calls_are_lines_that_do_not_fill_the_log(tmp_path, lines, monkeypatch):
    """An attempt is worth knowing, and who has made it; ten thousand of them are one line."""
    path = tmp_path / "tokens.json"
    bearers = write_tokens(path, **{"shop-window": (Scope.RECOMMEND,)})
    served = Served(guard_of(str(path), "", ""))
    request = model_service_pb2.PauseLearningRequest(model="ranker")

    def refused(metadata):
        with pytest.raises(grpc.RpcError):
            served.models.PauseLearning(request, timeout=LIMIT_S, metadata=metadata)

    try:
        for _ in range(3):
            refused(bearers["shop-window"].metadata)
        refused(())
        monkeypatch.setattr(audit, "REFUSALS_S", 0.0)
        refused(bearers["shop-window"].metadata)
    finally:
        served.close()
    assert lines() == [
        ("PauseLearning: PERMISSION_DENIED", "shop-window"),
        ("PauseLearning: UNAUTHENTICATED", None),
        ("PauseLearning: PERMISSION_DENIED, as were 2 before", "shop-window"),
    ]


def test_callers_that_are_told_apart_are_bounded(monkeypatch):
    """Tokens come and go for years."""
    monkeypatch.setattr(audit, "MAX_REFUSED", 10)
    method = next(method for method in METHODS if method.name == "RollBack")
    refusals = audit.Refusals()
    for n in range(25):
        refusals.note(method, 7, f"caller-{n}")
        assert len(refusals._told) <= 10


def test_no_other_call_is_a_line(served, lines):
    """Calls of visitors are many, and personal."""
    served, how, _ = served
    event = event_service_pb2.Event(type="view", session_id="s", item_id="a", timestamp_ms=now())
    request = event_service_pb2.PutEventsRequest(events=[event])
    assert served.events.PutEvents(request, **how).accepted == 1
    ids = catalog_service_pb2.GetItemsRequest(item_ids=["a"])
    served.catalogue.GetItems(ids, **how)
    served.models.ListModels(model_service_pb2.ListModelsRequest(), **how)
    assert lines() == []


def test_every_administrative_name_is_a_method():
    """A method that was renamed would be done without a line."""
    assert set(ADMINISTRATIVE) <= {method.name for method in METHODS}


def test_the_lines_are_written_at_every_level():
    """A quiet log is no reason to lose who did what."""
    root, ours, audit = (logging.getLogger(name) for name in ("", "nextclick", AUDIT))
    levels, handlers = [logger.level for logger in (root, ours, audit)], root.handlers[:]
    try:
        log_to_stderr("server", ServerSettings(log_level="error"))
        assert audit.isEnabledFor(logging.INFO)
        assert not logging.getLogger("nextclick.server").isEnabledFor(logging.INFO)
    finally:
        root.handlers[:] = handlers
        for logger, level in zip((root, ours, audit), levels, strict=True):
            logger.setLevel(level)
