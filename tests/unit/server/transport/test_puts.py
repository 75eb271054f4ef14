"""Events, catalogue items and commands that are put, as their callers meet it."""

import re

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from nextclick import Item, encode_item
from nextclick.limits import MAX_MESSAGE_BYTES, MAX_REQUEST_BYTES
from nextclick.v1 import catalog_service_pb2, event_service_pb2, learning_pb2, model_service_pb2
from tests.unit.server.transport.served import LIMIT_S, now


def test_put_events_reports_each_event_of_its_own(served):
    """One faulty event must cost only itself."""
    good = {"type": "view", "session_id": "s", "item_id": "a", "timestamp_ms": now()}
    request = event_service_pb2.PutEventsRequest(
        events=[
            event_service_pb2.Event(**good),
            event_service_pb2.Event(type="view", timestamp_ms=now()),
            event_service_pb2.Event(**{**good, "session_id": "", "user_id": "u"}),
        ]
    )
    reply = served.events.PutEvents(request, timeout=LIMIT_S)
    assert reply.accepted == 2
    assert [e.index for e in reply.errors] == [1]
    assert {f.field for f in reply.errors[0].faults} == {"item_id", "session_id"}
    assert not reply.errors[0].retryable
    assert [(topic, key) for topic, key, _ in served.producer.records] == [
        ("events", "s"),
        ("events", "u:u"),
    ]


def test_an_event_too_large_to_parse_costs_only_itself(served):
    """Shops send the events of many visitors in one call; one of them may send anything."""
    fields = {"type": "view", "session_id": "s", "timestamp_ms": now()}
    large = event_service_pb2.Event(item_id="x" * MAX_REQUEST_BYTES, **fields)
    good = event_service_pb2.Event(item_id="a", **fields)
    request = event_service_pb2.PutEventsRequest(events=[good, large, good])
    reply = served.events.PutEvents(request, timeout=LIMIT_S)
    assert reply.accepted == 2
    assert [(e.index, e.faults[0].field) for e in reply.errors] == [(1, "record")]
    assert f"send at most {MAX_REQUEST_BYTES}" in reply.errors[0].message


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("EventService/PutEvents", "events: has more; send 1 to 1000"),
        ("CatalogService/PutItems", "items: has more; send 1 to 1000"),
        ("CatalogService/DeleteItems", "item_ids: has more; send 1 to 1000"),
        ("CatalogService/GetItems", "item_ids: has more; send 1 to 1000"),
        ("UserService/PutUsers", "users: has more; send 1 to 1000"),
        ("UserService/DeleteUsers", "user_ids: has more; send 1 to 1000"),
        ("UserService/GetUsers", "user_ids: has more; send 1 to 1000"),
        ("ModelService/ListModels", "send at most 100000"),
        ("ModelService/PauseLearning", "send at most 100000"),
        ("ModelService/ResumeLearning", "send at most 100000"),
        ("ModelService/RollBack", "send at most 100000"),
    ],
)
def test_a_small_compressed_call_is_not_parsed_as_a_whole(served, method, words):
    """4 MB of empty entries, 4 kB on the wire, kept all answers waiting for up to 600 ms."""
    call = served.channel.unary_unary(f"/nextclick.v1.{method}")
    raw = b"\x0a\x00" * (MAX_MESSAGE_BYTES // 2)
    with pytest.raises(grpc.RpcError) as error:
        call(raw, timeout=LIMIT_S, compression=grpc.Compression.Gzip)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert words in error.value.details()


def test_unacknowledged_events_are_retryable_before_the_deadline(served):
    """DEADLINE_EXCEEDED would not say which events to send again."""
    served.producer.gives_up = True
    reply = served.put(timeout=LIMIT_S)
    assert reply.accepted == 0
    assert [e.retryable for e in reply.errors] == [True]
    # What is left of the caller's deadline; what becomes of it: `test_acked_producer.py`.
    (left_s,) = served.producer.timeouts
    # Near it: gRPC converts deadlines between clocks, which a busy machine makes inexact.
    assert LIMIT_S / 2 < left_s < 2 * LIMIT_S


def test_catalogue_faults_name_the_item(served):
    """In a batch of a thousand, the faulty one must be found."""
    item = catalog_service_pb2.Item
    request = catalog_service_pb2.PutItemsRequest(items=[item(item_id="a"), item(item_id="")])
    with pytest.raises(grpc.RpcError) as error:
        served.catalogue.PutItems(request, timeout=LIMIT_S)
    assert "items[1].item_id" in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        served.catalogue.DeleteItems(
            catalog_service_pb2.DeleteItemsRequest(item_ids=["a", ""]), timeout=LIMIT_S
        )
    assert "item_ids[1]:" in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        served.catalogue.GetItems(
            catalog_service_pb2.GetItemsRequest(item_ids=["a", "x" * 257]), timeout=LIMIT_S
        )
    assert "item_ids[1]: has 257 bytes" in error.value.details()
    large = item(item_id="b", title="x" * MAX_REQUEST_BYTES)
    with pytest.raises(grpc.RpcError) as error:
        served.catalogue.PutItems(
            catalog_service_pb2.PutItemsRequest(items=[item(item_id="a"), large]), timeout=LIMIT_S
        )
    assert "items[1]: the Item has" in error.value.details()
    assert served.producer.records == []


def test_an_embedding_of_another_width_is_refused_early(served):
    """Vectors that cannot be compared would be found when nobody is there to mend them."""
    item = catalog_service_pb2.Item

    def put(*items):
        request = catalog_service_pb2.PutItemsRequest(items=items)
        return served.catalogue.PutItems(request, timeout=LIMIT_S).accepted

    def refusal(*items):
        with pytest.raises(grpc.RpcError) as error:
            put(*items)
        return error.value.details()

    assert "items[2].embedding: has 3 numbers, most of items have 2: send as many" in refusal(
        item(item_id="a"), item(item_id="b", embedding=[1, 2]), item(item_id="c", embedding=[1] * 3)
    )
    assert put(item(item_id="a", embedding=[1, 2])) == 1
    replica = served.shop.replica
    replica.apply_item(b"a", encode_item(Item("a", embedding=(1.0, 2.0))))
    told = refusal(item(item_id="b"), item(item_id="c", embedding=[1, 2, 3]))
    assert "items[1].embedding: has 3 numbers, those of the catalogue have 2" in told
    assert put(item(item_id="c", embedding=[3, 4]), item(item_id="d")) == 2
    # More than 8 KiB of faults would arrive as RESOURCE_EXHAUSTED: the caller would slow down.
    told = refusal(*(item(item_id=str(n), embedding=[1, 2, 3]) for n in range(500)))
    assert told.startswith("items[0].embedding: has 3 numbers, those of the catalogue have 2")
    assert re.search(r"; and 4\d\d more$", told)
    replica.apply_item(b"a", encode_item(Item("a")))
    assert put(item(item_id="c", embedding=[1, 2, 3])) == 1


def test_models_are_listed_and_steered(served):
    """Whoever watches the shop must be able to stop a learner that is fed rubbish."""
    models = served.models
    listed = models.ListModels(model_service_pb2.ListModelsRequest(), timeout=LIMIT_S).models
    assert [m.name for m in listed] == ["blend", "vectors", "ranker"]
    assert listed[0].answering
    assert listed[2].age_ms == -1
    published_ms = now() - 80_000
    served.shop.replica.learners["ranker"] = learning_pb2.LearnerState(
        version=9,
        learned=70,
        paused=True,
        rolled_back_to=3,
        kept_versions=[3, 7],
        timestamp_ms=published_ms,
    )
    listed = models.ListModels(model_service_pb2.ListModelsRequest(), timeout=LIMIT_S).models
    ranker, now_ms = listed[2], now()
    assert (ranker.version, ranker.examples, ranker.paused) == (9, 70, True)
    assert (ranker.rolled_back_to, list(ranker.kept_versions)) == (3, [3, 7])
    assert 80_000 <= ranker.age_ms <= now_ms - published_ms
    models.PauseLearning(model_service_pb2.PauseLearningRequest(model="vectors"), timeout=LIMIT_S)
    models.ResumeLearning(model_service_pb2.ResumeLearningRequest(model="vectors"), timeout=LIMIT_S)
    models.RollBack(model_service_pb2.RollBackRequest(model="ranker", version=7), timeout=LIMIT_S)
    topics, keys, values = zip(*served.producer.records, strict=True)
    assert set(topics) == {"commands"}
    assert keys == ("vectors", "vectors", "ranker")
    commands = [learning_pb2.LearnerCommand.FromString(value) for value in values]
    assert [c.kind for c in commands] == [1, 2, 3]
    assert commands[2].version == 7


@pytest.mark.parametrize(
    ("call", "request_", "field"),
    [
        ("PauseLearning", model_service_pb2.PauseLearningRequest(model="blend"), "model"),
        ("ResumeLearning", model_service_pb2.ResumeLearningRequest(), "model"),
        ("RollBack", model_service_pb2.RollBackRequest(model="vectors", version=1), "model"),
        ("RollBack", model_service_pb2.RollBackRequest(model="ranker", version=5), "version"),
    ],
)
def test_a_command_that_cannot_be_obeyed_is_refused(served, call, request_, field):
    """It would be acknowledged, and nothing would ever happen."""
    with pytest.raises(grpc.RpcError) as error:
        getattr(served.models, call)(request_, timeout=LIMIT_S)
    bad = error_details_pb2.BadRequest()
    assert rpc_status.from_call(error.value).details[0].Unpack(bad)
    assert [v.field for v in bad.field_violations] == [field]
    assert not served.producer.records
