"""Values of features: those of an answer, bit for bit; and what a request may ask."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nextclick import Item, encode_item
from nextclick.limits import MAX_FEATURE_ITEMS, MAX_FEATURE_NAMES
from nextclick.v1 import feature_service_pb2 as pb
from nextclick.v1 import recommendation_service_pb2 as recommendation_pb
from nextclick.v1.profile_pb2 import Profile
from online_models.ranking.features.declared import DECLARED, features_of
from online_models.ranking.features.feature import Entity
from online_models.ranking.features.registry import N_FEATURES, NAMES, SCHEMA
from server.errors import RequestError
from server.services.features import Features
from tests.unit.server.services.shop import Shop, record

SESSION, ITEM, USER, CANDIDATE = (
    pb.FEATURE_ENTITY_SESSION,
    pb.FEATURE_ENTITY_ITEM,
    pb.FEATURE_ENTITY_USER,
    pb.FEATURE_ENTITY_CANDIDATE,
)


OF = {"session": SESSION, "item": ITEM, "user": USER, "candidate": CANDIDATE}


@pytest.fixture
def features(shop):
    return Features(shop.replica, shop.redis)


def get(features, **fields):
    raw = features.get_features(pb.GetFeaturesRequest(**fields).SerializeToString())
    return pb.GetFeaturesResponse.FromString(raw)


def values(vector):
    return {value.name: value.number for value in vector.values}


def answered(shop, session_id):
    """The features of the candidates of an answer of the ranker to `Recommend`, by item."""
    engine = shop.replica.engine
    engine.arrays["counters"]["ranker_steps"] = 1_000  # as if it had learned
    assert engine.ranking == "ranker"
    shop.recommend(session_id=session_id)
    assert engine.arrays["found"]["has_features"][0]
    n = int(engine.arrays["found"]["candidates"][0])
    rows = engine.arrays["pool"][engine.arrays["candidates"][:n]].tolist()
    x = engine.arrays["features"][:N_FEATURES, :n].copy()
    return {engine.ids[row]: x[:, place] for place, row in enumerate(rows)}


def test_candidates_have_the_features_of_an_answer_bit_for_bit(shop, features):
    """A value that differs from what the ranker reads would explain another answer."""
    mine = record("me", ["i4", "i5", "i4"], purchased=("i5",))
    mine.hidden_item_ids.append("i6")
    shop.apply(mine)
    expected = answered(shop, "me")
    assert len(expected) > 5
    assert "i6" not in expected
    asked = [*expected, "i6", "never seen"]
    found = get(features, session_id="me", item_ids=asked)
    assert [v.id for v in found.vectors] == ["me", *asked]
    assert [v.entity for v in found.vectors] == [SESSION] + [CANDIDATE] * len(asked)
    for vector in found.vectors[1:-2]:
        assert tuple(value.name for value in vector.values) == NAMES
        got = np.array([value.number for value in vector.values], np.float32)
        assert got.tobytes() == expected[vector.id].tobytes()
    for vector in found.vectors[-2:]:
        assert (vector.known, list(vector.values)) == (False, [])
    assert found.model_version == shop.replica.engine.clicks
    assert found.feature_schema == SCHEMA
    assert found.timestamp_ms > 1_700_000_000_000
    assert not found.degraded


def test_a_session_has_what_is_the_same_for_all_its_candidates_and_more(shop, features):
    """Who looks at a session must see what the ranker sees of it, and how old it is."""
    shop.apply(record("me", ["i4", "i5", "i4"], purchased=("i5",)))
    column = next(iter(answered(shop, "me").values()))
    [vector] = get(features, session_id="me").vectors
    assert vector.known
    names = [f.name for f in features_of(Entity.SESSION)]
    assert [v.name for v in vector.values] == [n for n in names if n != "session_idle"]
    got = values(vector)
    for name, value in got.items():
        if name in NAMES:
            assert value == column[NAMES.index(name)], name
    assert (got["session_length"], got["session_items"], got["session_version"]) == (3, 2, 3)
    assert (got["session_purchases"], got["session_hidden"]) == (1, 0)


def test_an_idle_session_says_for_how_long(shop, features):
    """The clock is the server's; a session without times leaves it out."""
    session = record("me", ["i4", "i5"])
    for step in session.steps:
        step.timestamp_ms = 1_764_086_400_000
    shop.apply(session)
    found = get(features, session_id="me", names=["session_idle"])
    [value] = found.vectors[0].values
    assert value.number == (found.timestamp_ms - 1_764_086_400_000) / 1_000
    unknown = record("timeless", ["i4"])
    for step in unknown.steps:
        step.timestamp_ms = 0
    shop.apply(unknown)
    assert "session_idle" not in values(get(features, session_id="timeless").vectors[0])


def test_an_item_is_described_as_the_ranker_would_see_it(shop, features):
    """The same function must not give another number where nobody's session is involved."""
    shop.replica.apply_item(
        b"i9",
        encode_item(Item("i9", available=False, categories=("red", "big"), title="Oak chair")),
    )
    shop.apply(record("me", ["i4", "i5"]))
    found = get(features, item_ids=["i6", "i9", "never seen"])
    i6, i9, never = found.vectors
    assert [v.entity for v in found.vectors] == [ITEM] * 3
    assert (i6.known, i9.known, never.known) == (True, True, False)
    column = dict(zip(NAMES, answered(shop, "me")["i6"], strict=True))
    got = values(i6)
    for name in ("log_clicks", "log_popularity", "log_trend", "log_age"):
        assert got[f"item_{name}"] == column[name], name
    stats = shop.replica.engine.arrays["stats"][shop.replica.engine.row("i6")]
    assert got["item_clicks"] == stats["clicks"] == 9
    assert got["item_sessions"] == 9
    assert (got["item_in_catalogue"], values(i9)["item_in_catalogue"]) == (0, 1)
    assert (got["item_unavailable"], values(i9)["item_unavailable"]) == (0, 1)
    [categories] = [v.texts for v in i9.values if v.name == "item_categories"]
    assert list(categories) == ["red", "big"]


def test_a_user_is_described_by_its_profile(shop):
    """What another part stores of a user is read through one seam."""
    profile = Profile(user_id="u", sessions=4, steps=20, repeated_steps=5, last_timestamp_ms=1)
    profile.version, profile.incarnation = 1, 1
    profile.purchased.add(item_id="i4", timestamp_ms=1)
    shop.replica.apply_profile(b"u", profile.SerializeToString())
    features = Features(shop.replica, shop.redis)
    known, unknown = (get(features, user_id=user).vectors[0] for user in ("u", "nobody"))
    assert (known.entity, known.known, unknown.known) == (USER, True, False)
    got = values(known)
    assert (got["user_sessions"], got["user_repeats"], got["user_purchases"]) == (4, 0.25, 1)
    assert got["user_away_for"] > 20_000
    assert "user_known_for" not in got


def test_candidates_are_those_of_the_preset_and_of_the_user(shop):
    """Features of items that no answer would have describe another list of candidates."""
    mine = record("me", ["i4", "i5", "i4"])
    shop.apply(mine)
    profile = Profile(user_id="u", version=1, incarnation=1)
    profile.disliked.add(item_id="i6", timestamp_ms=1)
    shop.replica.apply_profile(b"u", profile.SerializeToString())
    asked = ["i4", "i5", "i6", "i7"]

    def known(user_id="", *, repeats=True):
        features = Features(shop.replica, shop.redis, repeats=repeats)
        found = get(features, session_id="me", user_id=user_id, item_ids=asked).vectors
        return {v.id for v in found if v.entity == CANDIDATE and v.known}

    everything = known()
    assert {"i4", "i6"} <= everything
    assert known(repeats=False) == everything - {"i4", "i5"}
    assert known("u") == everything - {"i6"}


def test_what_is_not_known_is_said_and_not_invented(shop, features):
    """Zeros of nobody would look like those of a visitor."""
    found = get(features, session_id="nobody", user_id="u", item_ids=["i4"])
    assert [(v.entity, v.known, len(v.values)) for v in found.vectors] == [
        (SESSION, False, 0),
        (USER, False, 0),
        (CANDIDATE, False, 0),
    ]


def test_asking_changes_no_answer(shop, features):
    """Values are read beside visitors: the next answer must be what it would have been."""
    shop.apply(record("me", ["i4", "i5"]))
    before = shop.recommend(session_id="me")
    get(features, session_id="me", item_ids=["i6"])
    get(features, item_ids=["i6"])
    assert shop.recommend(session_id="me").items == before.items


def test_a_session_that_only_redis_knows_is_read_from_there(shop, features):
    """A replica that has just started would say that a visitor is new."""
    shop.replica.caught_up = False
    shop.redis.sessions["old"] = record("old", ["i4", "i5"])
    found = get(features, session_id="old")
    assert found.vectors[0].known
    assert not any(shop.redis.locked)
    assert recommendation_pb.DEGRADED_REASON_CATCHING_UP in found.degraded
    shop.redis.up = False
    away = get(features, session_id="old")
    assert recommendation_pb.DEGRADED_REASON_REDIS_UNAVAILABLE in away.degraded


@pytest.mark.parametrize("entity", [0, SESSION, ITEM, USER, CANDIDATE])
def test_the_list_has_every_feature_as_it_is_declared(features, entity):
    """Backends learn from it what the numbers mean."""
    raw = features.list_features(pb.ListFeaturesRequest(entity=entity).SerializeToString())
    found = pb.ListFeaturesResponse.FromString(raw)
    assert found.feature_schema == SCHEMA
    of = {number: Entity(name) for name, number in OF.items()}
    expected = features_of(of[entity]) if entity else DECLARED
    assert [f.name for f in found.features] == [f.name for f in expected]
    for told, feature in zip(found.features, expected, strict=True):
        assert (told.meaning, told.unit, told.version) == (
            feature.meaning,
            feature.unit,
            feature.version,
        )
        assert list(told.topics) == list(feature.origin.topics)
        assert told.delay_ms == feature.origin.delay_ms
        assert told.in_ranker == (feature.name in NAMES)
        assert told.entity == next(n for n, e in of.items() if e is feature.entity)


@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({}, {"session_id"}),
        ({"names": ["seq"]}, {"session_id"}),
        ({"session_id": "x" * 257, "user_id": "ü" * 200}, {"session_id", "user_id"}),
        ({"item_ids": ["a"] * (MAX_FEATURE_ITEMS + 1)}, {"item_ids"}),
        ({"item_ids": ["a", ""]}, {"item_ids[1]"}),
        ({"item_ids": ["a", "ü" * 129]}, {"item_ids[1]"}),
        ({"session_id": "s", "names": ["seq"] * (MAX_FEATURE_NAMES + 1)}, {"names"}),
        ({"user_id": "u", "names": ["seq", "sec"]}, {"names[1]"}),
        ({"item_ids": ["a" * 257], "names": [""]}, {"item_ids[0]", "names[0]"}),
    ],
)
def test_all_faults_of_a_request_are_named(features, fields, faulty):
    """A developer should see every mistake in the first error."""
    with pytest.raises(RequestError) as error:
        get(features, **fields)
    assert {fault.field for fault in error.value.faults} == faulty


def test_the_largest_request_is_answered(shop, features):
    """A bound that cannot be reached is another bound."""
    found = get(
        features,
        session_id="x" * 256,
        item_ids=["y" * 256] * MAX_FEATURE_ITEMS,
        names=["seq"] * MAX_FEATURE_NAMES,
    )
    assert len(found.vectors) == 1 + MAX_FEATURE_ITEMS


def test_an_entity_that_there_is_not_is_refused(features):
    """An answer with all features would look like one of the entity."""
    with pytest.raises(RequestError, match="entity: is 9; send one of FEATURE_ENTITY_SESSION"):
        features.list_features(pb.ListFeaturesRequest(entity=9).SerializeToString())


@pytest.mark.parametrize("call", ["list_features", "get_features"])
def test_a_large_request_is_refused_before_it_is_parsed(features, call):
    """What parses a request keeps all answers waiting."""
    with pytest.raises(RequestError, match="has 4194304 bytes; send at most 100000"):
        getattr(features, call)(b"\x22\x00" * (1 << 21))


SHOP = None
IDS = st.sampled_from(["me", "t1", "i4", "i5", "i6", "nobody", "", "é" * 128, "x" * 300])


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "session_id": IDS,
            "user_id": IDS,
            "item_ids": st.lists(IDS, max_size=5),
            "names": st.lists(st.sampled_from([*NAMES, "item_clicks", "?"]), max_size=3),
        },
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_request_gets_an_answer_or_its_faults(fields):
    """An internal error would be a bug that any caller can reach."""
    global SHOP  # noqa: PLW0603 - made once for all examples
    SHOP = SHOP or Shop()
    features = Features(SHOP.replica, SHOP.redis)
    found = None
    with suppress(RequestError):
        found = get(features, **fields)
    if found is None:
        return
    wanted = set(fields.get("names", ()))
    assert len(found.vectors) == bool(fields.get("session_id")) + bool(fields.get("user_id")) + len(
        fields.get("item_ids", ())
    )
    for vector in found.vectors:
        assert np.isfinite([v.number for v in vector.values]).all()
        assert not wanted or {v.name for v in vector.values} <= wanted
