"""Calls over REST: what reaches the server, and what becomes of its answer."""

import gzip
import json
import threading

import grpc
import pytest
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status
from prometheus_client import REGISTRY

from gateway import app, bodies
from gateway.problems import STATUSES
from nextclick.limits import MAX_MESSAGE_BYTES
from nextclick.v1 import event_service_pb2 as event_pb
from nextclick.v1 import feature_service_pb2 as feature_pb
from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.gateway.served_gateway import gateway
from tests.unit.nextclick.fake_server import bad_request, serving

ANSWER = pb.RecommendResponse(
    recommendation_id="r1", items=[pb.ScoredItem(item_id="a", score=0.5)], model_version=7
)


def test_a_call_is_answered_as_json(rest, fake):
    """The purpose of the gateway."""
    fake.answers = [ANSWER]
    answer = rest.call("recommend", {"session_id": "s", "page_size": 3})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["items"] == [{"item_id": "a", "score": 0.5, "reasons": []}]
    assert (answer.json["model_version"], answer.json["degraded"]) == ("7", [])
    assert fake.methods[-1] == "/nextclick.v1.RecommendationService/Recommend"
    assert fake.requests == [pb.RecommendRequest(session_id="s", page_size=3)]


def test_values_of_features_are_told_as_json(rest, fake):
    """A data scientist looks at them with curl: numbers as numbers, what is unknown left out."""
    value = feature_pb.FeatureValue(name="log_gap", number=-0.5)
    names = feature_pb.FeatureValue(name="item_categories", texts=["red"])
    vector = feature_pb.FeatureVector(
        entity=feature_pb.FEATURE_ENTITY_ITEM, id="i", known=True, values=[value, names]
    )
    fake.answers = [feature_pb.GetFeaturesResponse(vectors=[vector], timestamp_ms=7)]
    answer = rest.call("getFeatures", {"item_ids": ["i"], "names": ["log_gap"]})
    assert (answer.status, answer.json["timestamp_ms"]) == (200, "7")
    [told] = answer.json["vectors"]
    assert (told["entity"], told["known"]) == ("FEATURE_ENTITY_ITEM", True)
    assert told["values"] == [
        {"name": "log_gap", "number": -0.5, "texts": []},
        {"name": "item_categories", "number": 0.0, "texts": ["red"]},
    ]
    assert fake.requests == [feature_pb.GetFeaturesRequest(item_ids=["i"], names=["log_gap"])]
    fake.answers = [bad_request(("names[0]", "is the name of no feature"))]
    refused = rest.call("getFeatures", {"item_ids": ["i"], "names": ["?"]})
    assert refused.status == 400
    assert refused.json["field_violations"][0]["field"] == "names[0]"


def test_large_messages_are_converted_aside(rest, fake, monkeypatch):
    """Other calls would wait as long as it takes."""
    threads = []

    def noted(convert):
        def run(*args):
            threads.append(threading.current_thread().name)
            return convert(*args)

        return run

    for convert in (app.parsed, app.written):
        monkeypatch.setattr(app, convert.__name__, noted(convert))
    fake.answers = [pb.RecommendResponse(items=[pb.ScoredItem(item_id="a" * 200)] * 500)]
    answer = rest.call("recommend", {"session_id": "s", "session_items": ["i" * 500] * 40})
    assert len(answer.json["items"]) == 500
    assert len(fake.requests[0].session_items) == 40
    assert threads == ["large messages_0"] * 2
    rest.call("trending", {})
    assert not threads[2].startswith("large messages")


def test_a_beacons_text_is_taken_as_json(rest, fake):
    """`navigator.sendBeacon` can say nothing else of a text without asking first."""
    fake.answers = [event_pb.PutEventsResponse(accepted=1)]
    event = {"type": "view", "item_id": "a", "session_id": "s", "timestamp_ms": 1}
    body = json.dumps({"events": [event]}).encode()
    for kind in ({"content-type": "text/plain;charset=UTF-8"}, {}):
        assert rest.ask("POST", "/v1/putEvents", body, kind).json == {"accepted": 1, "errors": []}
    assert [request.events[0].item_id for request in fake.requests] == ["a", "a"]


def test_other_types_of_a_body_are_refused(rest, fake):
    """A form would be parsed as JSON, and the caller told of a fault that it has not made."""
    answer = rest.call("recommend", {}, content_type="application/x-www-form-urlencoded")
    assert answer.status == 415
    assert fake.requests == []


def test_a_compressed_body_is_refused_as_such(rest, fake):
    """What it holds must not be called JSON with a fault."""
    answer = rest.ask("POST", "/v1/recommend", gzip.compress(b"{}"), {"content-encoding": "gzip"})
    assert (answer.status, fake.requests) == (415, [])
    assert "Content-Encoding" in answer.json["detail"]


def context_of(fake):
    """Have a fake keep what it is called with."""
    seen = []

    def answer(context):
        seen.append((dict(context.invocation_metadata()), context.time_remaining()))
        return ANSWER

    fake.answers = [answer]
    return seen


def test_token_trace_and_deadline_go_on_to_the_server(rest, fake):
    """The server decides who may what, and stops work that nobody waits for."""
    seen = context_of(fake)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"authorization": "Bearer secret", "traceparent": trace, "tracestate": "a=b"}
    rest.call("recommend", {}, **headers, grpc_timeout="10S")
    [(metadata, left_s)] = seen
    assert headers.items() <= metadata.items()
    assert left_s < 11  # the gateway itself gives 15


def test_a_call_has_the_gateways_time_at_most(fake):
    """Nobody waits for an hour; and a caller without a deadline does not wait for ever."""
    seen = context_of(fake)
    with serving(fake) as target, gateway(target, gateway_timeout_s=300) as running:
        running.call("recommend", {})
        running.call("recommend", {}, grpc_timeout="1H")
    assert all(60 < left_s < 301 for _, left_s in seen)
    assert all("authorization" not in metadata for metadata, _ in seen)


def test_calls_without_a_token_get_the_public_one(fake, tmp_path):
    """A beacon has no headers; a page's own token would be anybody's, too."""
    seen = context_of(fake)
    file = tmp_path / "token"
    file.write_text("everybody\n")
    more = {"gateway_public_token_file": str(file)}
    with serving(fake) as target, gateway(target, **more) as running:
        running.call("recommend", {})
        running.call("recommend", {}, authorization="Bearer mine")
    tokens = [metadata["authorization"] for metadata, _ in seen]
    assert tokens == ["Bearer everybody", "Bearer mine"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", "Bearer \xe9"),
        ("traceparent", "a" * 4_097),
        ("grpc_timeout", "5"),
        ("grpc_timeout", "1e3m"),
        ("grpc_timeout", "0m"),  # gRPC would take it for none
        ("grpc_timeout", "123456789m"),
    ],
)
def test_a_header_that_cannot_be_forwarded_is_refused_by_name(rest, fake, name, value):
    """gRPC would fail on it without saying why."""
    answer = rest.call("recommend", {}, **{name: value})
    assert answer.status == 400
    [violation] = answer.json["field_violations"]
    assert violation["field"] == name.replace("_", "-")
    assert answer.json["detail"] == f"{violation['field']}: {violation['description']}"
    assert fake.requests == []


OF_GRPC = ("OK", "CANCELLED", "UNAVAILABLE")
CODES = [code for code in grpc.StatusCode if code.name not in OF_GRPC]


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_its_status(rest, fake, code):
    """A client would try again what cannot succeed, or give up what can."""
    fake.answers = [code]
    answer = rest.call("putEvents", {})
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert answer.status == problem["status"] == STATUSES[code.name]
    assert (problem["code"], problem["detail"]) == (code.name, "the test says so")
    assert (problem["type"], bool(problem["title"])) == ("about:blank", True)
    assert ("www-authenticate" in answer.headers) is (answer.status == 401)
    assert ("retry-after" in answer.headers) is (answer.status in (429, 503))


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_where_servers_are_is_not_told(rest, fake, caplog, code):
    """Texts of gRPC's own have their addresses; CANCELLED is a call to a server that ends."""
    fake.answers = [code]
    for _ in range(2):
        answer = rest.call("putEvents", {})
        assert (answer.status, answer.json["code"]) == (503, "UNAVAILABLE")
        assert answer.json["detail"].startswith("no server can be reached")
    assert caplog.messages == ["no server can be reached: the test says so"]


def test_what_a_server_itself_says_of_being_unavailable_is_told(rest, fake):
    """Whether to send everything again, for example."""
    status = status_pb2.Status(code=code_pb2.UNAVAILABLE, message="Kafka: send them all again")
    fake.answers = [lambda context: context.abort_with_status(rpc_status.to_status(status))]
    answer = rest.call("putItems", {})
    assert (answer.status, answer.json["detail"]) == (503, "Kafka: send them all again")


def test_there_is_a_status_for_every_code():
    """Those that google/rpc/code.proto names."""
    assert set(STATUSES) == set(code_pb2.Code.keys()) - {"OK"}


def test_faults_by_field_are_kept(rest, fake):
    """The caller learns all that is wrong at once."""
    fake.answers = [bad_request(("session_id", "is too long"), ("page_size", "is too large"))]
    answer = rest.call("recommend", {})
    assert answer.json["field_violations"] == [
        {"field": "session_id", "description": "is too long"},
        {"field": "page_size", "description": "is too large"},
    ]


def test_a_bug_is_told_without_its_text(rest, fake, monkeypatch, caplog):
    """An exception's text may quote a request; the caller would see a broken connection."""
    monkeypatch.setattr(app, "parsed", lambda *_: 1 / 0)
    answer = rest.call("recommend", {})
    assert (answer.status, answer.json["code"]) == (500, "INTERNAL")
    assert "division" not in answer.json["detail"]
    assert "Recommend failed" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/nothing", 404, "NOT_FOUND"),
        ("POST", "/v1/streamRecommend", 404, "NOT_FOUND"),
        ("POST", "/v1/recommend/", 404, "NOT_FOUND"),
        ("GET", "/v1/recommend", 405, "UNIMPLEMENTED"),
        ("DELETE", "/v1/putItems", 405, "UNIMPLEMENTED"),
    ],
)
def test_what_is_no_call_is_a_problem_too(rest, method, path, status, code):
    """Clients read one kind of error."""
    answer = rest.ask(method, path)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("said", [True, False])
def test_a_body_that_is_too_large_is_refused(rest, fake, said):
    """Whether its length is said or not."""
    body = b" " * (MAX_MESSAGE_BYTES + 1)
    answer = rest.ask("POST", "/v1/recommend", body if said else iter([body]))
    assert answer.status == 413
    assert fake.requests == []


def test_bodies_have_room_together(rest, fake, monkeypatch):
    """A thousand callers with four megabytes each would fill the memory."""
    monkeypatch.setattr(bodies, "MAX_HELD_BYTES", 1_000)
    fake.answers = [ANSWER]
    large = {"session_id": "s" * 1_000}
    for _ in range(3):  # room is given back, also by those that are refused
        assert rest.call("recommend", large).json["code"] == "RESOURCE_EXHAUSTED"
        assert rest.call("recommend", {"session_id": "s" * 500}).status == 200


def counted(method, code):
    name, labels = "nextclick_gateway_requests_total", {"method": method, "code": code}
    return REGISTRY.get_sample_value(name, labels) or 0.0


def timed(method):
    name = "nextclick_gateway_request_seconds_count"
    return REGISTRY.get_sample_value(name, {"method": method})


def test_calls_are_counted_by_their_codes(rest, fake):
    """An operator sees which calls fail, and how."""
    before = counted("Recommend", "OK"), counted("Recommend", "NOT_FOUND")
    fake.answers = [ANSWER, grpc.StatusCode.NOT_FOUND]
    rest.call("recommend", {})
    rest.call("recommend", {})
    now = counted("Recommend", "OK"), counted("Recommend", "NOT_FOUND")
    assert now == (before[0] + 1, before[1] + 1)
    assert timed("Recommend") == now[0]
