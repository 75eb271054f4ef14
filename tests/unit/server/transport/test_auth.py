"""Tokens on the gRPC port: who gets an answer, who is refused and why, in either kind of call."""

from contextlib import suppress

import grpc
import pytest
from grpc_reflection.v1alpha import reflection, reflection_pb2

from listeners import watched_files
from listeners.guard import guard_of
from listeners.tokens import Scope
from nextclick import Client, PermissionDeniedError, UnauthenticatedError
from nextclick.v1 import recommendation_service_pb2 as pb
from server.transport.methods import METHODS, Lane
from tests.tokens import Bearer, write_tokens
from tests.unit.server.transport.served import LIMIT_S, Served, refused, until

RECOMMEND, STREAM = (
    f"/nextclick.v1.RecommendationService/{name}" for name in ("Recommend", "StreamRecommend")
)
ASK = pb.RecommendRequest(session_id="s").SerializeToString()
REFLECTION = f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.json"


@pytest.fixture
def bearers(path):
    """A token for each scope, by its name."""
    return write_tokens(path, **{scope: (scope,) for scope in Scope})


@pytest.fixture
def served(path, bearers, monkeypatch):
    monkeypatch.setattr(watched_files, "EVERY_S", 0.01)
    served = Served(guard_of(str(path), "", ""))
    yield served
    served.close()


def code_of(served, path, metadata, raw=b""):
    """The code of a call: of one of a single message, or of a stream that ends at once."""
    if path in (STREAM, REFLECTION):
        call = served.channel.stream_stream(path)(iter([raw]), timeout=LIMIT_S, metadata=metadata)
        with suppress(grpc.RpcError):
            list(call)
        return call.code()
    call = served.channel.unary_unary(path).future(raw, timeout=LIMIT_S, metadata=metadata)
    return call.code()


WRONG = {
    "none": (),
    "another": Bearer("nextclick_another").metadata,
    "without the scheme": (("authorization", "{}"),),
    "of another scheme": (("authorization", "Basic {}"),),
    "cut": (("authorization", "Bearer {}"[:-4]),),
    "longer": (("authorization", "Bearer {}x"),),
    "empty": (("authorization", "Bearer "),),
    "in another header": (("x-authorization", "Bearer {}"),),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("path_", [RECOMMEND, STREAM, REFLECTION, "/nextclick.v1.Other/Method"])
def test_a_call_without_a_token_is_refused_whatever_it_asks_for(served, bearers, name, path_):
    """Neither kind of call may be a way around the token, nor one that does not exist."""
    before, token = refused("unauthenticated"), bearers[Scope.RECOMMEND].token
    metadata = [(key, value.format(token)) for key, value in WRONG[name]]
    assert code_of(served, path_, metadata) == grpc.StatusCode.UNAUTHENTICATED
    assert refused("unauthenticated") == before + 1


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_each_method_takes_tokens_of_its_scope_and_no_others(served, bearers, method):
    """A shop window that can also pause the models is one leak away from doing so."""
    before = refused("permission_denied")
    for scope, bearer in bearers.items():
        code = code_of(served, method.path, bearer.metadata)
        denied = code == grpc.StatusCode.PERMISSION_DENIED
        assert denied is (scope != method.scope), scope
        assert code != grpc.StatusCode.UNAUTHENTICATED
    assert refused("permission_denied") == before + len(Scope) - 1


def test_the_scopes_of_the_services():
    """What each scope is for is told in the docs, and given to people."""
    of_names = {method.name: method.scope for method in METHODS}
    assert of_names["Recommend"] == of_names["StreamRecommend"] == Scope.RECOMMEND
    assert of_names["PutEvents"] == Scope.EVENTS
    assert of_names["GetItems"] == of_names["DeleteItems"] == Scope.CATALOGUE
    assert of_names["RollBack"] == Scope.MODELS
    assert of_names["ListFeatures"] == of_names["GetFeatures"] == Scope.FEATURES
    assert {method.lane for method in METHODS if method.scope is Scope.RECOMMEND} >= {
        Lane.FAST,
        Lane.STREAM,
    }


def test_health_needs_no_token_and_reflection_takes_any(served, bearers):
    """Load balancers have none; the API is no secret to those that may call any of it."""
    assert served.status()
    request = reflection_pb2.ServerReflectionRequest(list_services="*").SerializeToString()
    metrics = bearers[Scope.METRICS].metadata
    assert code_of(served, REFLECTION, metrics, request) == grpc.StatusCode.OK


def test_clients_carry_their_token_and_are_told_what_it_lacks(served, bearers):
    """The first thing that happens to whoever is new to a guarded server."""
    shop = bearers[Scope.RECOMMEND].token
    with Client(served.target, token=shop, timeout_s=LIMIT_S) as client:
        assert len(client.recommend("s").items) == 20
        assert len(list(client.recommend_stream(["s"]))) == 1
        with pytest.raises(PermissionDeniedError, match="lacks the scope models"):
            client.list_models()
    with Client(served.target, timeout_s=LIMIT_S) as client:
        with pytest.raises(UnauthenticatedError, match="token"):
            client.recommend("s")
        with pytest.raises(UnauthenticatedError, match="token"):
            list(client.recommend_stream(["s"]))


def test_a_token_that_was_removed_is_refused_and_a_new_one_taken(served, bearers, path):
    """Whoever has leaked one must not have to restart servers."""
    before = bearers[Scope.RECOMMEND]
    assert code_of(served, RECOMMEND, before.metadata, ASK) == grpc.StatusCode.OK
    after = write_tokens(path, shop=(Scope.RECOMMEND,))["shop"]
    until(lambda: code_of(served, RECOMMEND, after.metadata, ASK) == grpc.StatusCode.OK)
    for method in (RECOMMEND, STREAM):
        assert code_of(served, method, before.metadata) == grpc.StatusCode.UNAUTHENTICATED


def test_a_flood_of_wrong_tokens_leaves_no_trace_in_memory(served, bearers):
    """A cache of what was refused would be the attacker's to fill."""
    good = bearers[Scope.RECOMMEND].metadata
    call = served.channel.unary_unary(RECOMMEND)
    floods = [
        call.future(ASK, timeout=LIMIT_S, metadata=Bearer(f"wrong{n}").metadata) for n in range(500)
    ]
    assert call(ASK, timeout=LIMIT_S, metadata=good)
    assert {flood.code() for flood in floods} == {grpc.StatusCode.UNAUTHENTICATED}
    gate = served.server._lane._gate
    assert len(gate._tokens.value._verified) == 1
    until(lambda: not served.server._server._state.rpc_states)
