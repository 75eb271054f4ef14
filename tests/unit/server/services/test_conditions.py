"""Conditions of requests: faults by their paths, the visitor who asks, and the pages that come."""

from __future__ import annotations

import random

import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from nextclick import Context, Item, conditions, encode_item
from nextclick.limits import MAX_CONDITION_DEPTH, MAX_CONDITIONS
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1.profile_pb2 import Profile, ProfileItem
from online_models.memory.bits import words
from online_models.ranking.conditions import EVERYTHING, NOTHING, AllOf, Not, find_rows
from online_models.tables.facts import Facts as Index
from server.errors import RequestError
from server.replica import snapshot
from server.services import conditions as module
from server.services.conditions import MOST_KEPT_BYTES, condition_faults, condition_of
from server.services.facts import NOBODY, Facts
from tests.unit.gateway.made_messages import messages
from tests.unit.server.services.shop import ids, record


def condition(said) -> pb.Condition:
    return json_format.ParseDict(said, pb.Condition())


def faults(said) -> dict[str, str]:
    found = condition_faults("filter.condition", condition(said))
    return {fault.field.removeprefix("filter.condition"): fault.description for fault in found}


def nested(depth):
    said = conditions.kind("film")
    for _ in range(depth - 1):
        said = conditions.all_of(said)
    return said


@pytest.mark.parametrize(
    ("said", "field", "told"),
    [
        ({}, "", "asks nothing; set one of all, any, not, category, kind"),
        ({"not": {}}, ".not", "asks nothing"),
        ({"all": {}}, ".all.conditions", "has no conditions; send 1 to 32"),
        ({"any": {"conditions": [{"kind": "k"}] * 33}}, "", "has more than 32 conditions"),
        ({"category": ""}, ".category", "is missing; send 1 to 128 bytes"),
        ({"kind": "k" * 65}, ".kind", "has 65 bytes; send at most 64"),
        ({"segment": "s" * 65}, ".segment", "has 65 bytes; send at most 64"),
        ({"attribute": {"values": ["x"]}}, ".attribute.name", "is missing"),
        ({"attribute": {"name": "a"}}, ".attribute.values", "has 0 values; send 1 to 64"),
        ({"user": {"name": "a", "values": ["x"] * 65}}, ".user.values", "has 65 values"),
        (
            {"attribute": {"name": "a", "values": ["x", "y" * 257]}},
            ".attribute.values[1]",
            "has 257 bytes",
        ),
        ({"number": {"at_least": 1}}, ".number.name", "is missing"),
        ({"number": {"name": "p", "at_least": "NaN"}}, ".number.at_least", "must be finite"),
        ({"number": {"name": "p", "at_most": "Infinity"}}, ".number.at_most", "must be finite"),
        (
            {"number": {"name": "p", "at_least": 2, "at_most": 1}},
            ".number.at_most",
            "exchange the two",
        ),
        (
            {"context": {"name": "moon", "values": ["x"]}},
            ".context.name",
            "send one of device, country, channel, referrer",
        ),
        (
            conditions.all_of(conditions.kind("k"), conditions.not_({}), {"number": {"name": ""}}),
            ".all.conditions[1].not",
            "asks nothing",
        ),
        (nested(MAX_CONDITION_DEPTH + 1), ".all.conditions[0]" * MAX_CONDITION_DEPTH, "is nested"),
        (
            conditions.all_of(*[conditions.any_of(*[conditions.kind("k")] * 11)] * 3),
            "",
            "has more than 32 conditions that hold no others; send at most that",
        ),
    ],
)
def test_each_fault_has_its_path_and_says_what_to_do(said, field, told):
    """In a condition of thirty parts, nobody finds the faulty one otherwise."""
    assert told in faults(said)[field]


@pytest.mark.parametrize("leaf", [{}, {"all": {}}, {"kind": "k"}, {"not": {"kind": ""}}])
def test_a_condition_of_too_many_parts_is_not_looked_through(leaf, monkeypatch):
    """One request of 60 kB kept all others waiting for seconds, and told of 28,000 faults."""
    wide = conditions.any_of(*[leaf] * 32)
    said = condition(conditions.all_of(*[conditions.any_of(*[wide] * 32)] * 20))
    assert said.ByteSize() > 40_000
    looked_at = []
    monkeypatch.setattr(module, "_check", lambda *args: looked_at.append(args))
    [fault] = condition_faults("filter.condition", said)
    assert "more than 32 conditions" in fault.description
    assert not looked_at


def test_all_faults_of_a_condition_are_told_with_those_of_the_request(shop):
    """A developer should see every mistake in the first error."""
    said = conditions.any_of({"number": {"name": "", "at_least": 3, "at_most": 1}}, {"kind": ""})
    with pytest.raises(RequestError) as error:
        shop.recommend(session_id="s", filter={"kinds": ["k"] * 17, "condition": said})
    assert [fault.field for fault in error.value.faults] == [
        "filter.kinds",
        "filter.condition.any.conditions[0].number.name",
        "filter.condition.any.conditions[0].number.at_most",
        "filter.condition.any.conditions[1].kind",
    ]
    for call, kind in (("similar_items", pb.SimilarItemsRequest), ("trending", pb.TrendingRequest)):
        request = kind(filter={"kinds": ["k" * 65], "condition": {}})
        with pytest.raises(RequestError) as error:
            getattr(shop.service, call)(request.SerializeToString())
        assert {"filter.kinds[0]", "filter.condition"} <= {f.field for f in error.value.faults}


def test_the_largest_conditions_are_taken():
    """The documented limits are those that hold."""
    assert not faults(nested(MAX_CONDITION_DEPTH))
    assert not faults(conditions.any_of(*[conditions.kind("k")] * MAX_CONDITIONS))
    assert not faults(conditions.attribute("a", *["x"] * 63, ""))
    assert not faults(conditions.number("p", at_least=1, at_most=1))
    assert not faults(conditions.number("p"))


@given(messages(pb.Condition))
def test_any_condition_is_refused_or_can_be_asked(message):
    """A caller may send anything that parses: no request may end in a bug's error."""
    if not condition_faults("c", message):
        bits = np.zeros(1, np.int64)
        find_rows(condition_of(message, NOBODY), Index(1), bits)


SAID = Facts({"plan": "gold"}, ("vip",), Context(device="mobile"))


@pytest.mark.parametrize(
    ("said", "of_known", "of_nobody"),
    [
        (conditions.segment("vip"), EVERYTHING, NOTHING),
        (conditions.segment("new"), NOTHING, NOTHING),
        (conditions.user("plan", "silver", "gold"), EVERYTHING, NOTHING),
        (conditions.user("plan", "silver"), NOTHING, NOTHING),
        (conditions.user("other", ""), NOTHING, NOTHING),
        (conditions.context("device", "mobile"), EVERYTHING, NOTHING),
        (conditions.context("country", ""), NOTHING, NOTHING),
        (conditions.not_(conditions.segment("vip")), Not(EVERYTHING), Not(NOTHING)),
    ],
)
def test_what_is_not_known_of_a_visitor_fulfils_nothing(said, of_known, of_nobody):
    """A page for members must not open to those of whom nothing is known."""
    assert condition_of(condition(said), SAID) == of_known
    assert condition_of(condition(said), NOBODY) == of_nobody
    assert condition_of(condition(conditions.all_of(said)), SAID) == AllOf((of_known,))
    large = conditions.any_of(
        said, conditions.attribute("a", *["x" * 200] * (MOST_KEPT_BYTES // 100))
    )
    assert condition_of(condition(large), SAID).conditions[0] == of_known
    assert condition_of(condition(large), NOBODY).conditions[0] == of_nobody


# ---- pages


def put(shop, item_id, **fields):
    shop.replica.apply_item(item_id.encode(), encode_item(Item(item_id, **fields)))


def stock(shop):
    """The catalogue of a shop whose visitors have clicked i0 to i21."""
    for n in range(22):
        kind = "film" if n % 2 else "song"
        put(shop, f"i{n}", kind=kind, categories=(f"c{n % 3}",), numbers={"price": float(n)})
    for n in range(200):
        brand = {"brand": "rare" if n % 40 == 0 else "common"}
        put(shop, f"new{n}", kind="book", attributes=brand, numbers={"price": 100.0 + n})


def test_pages_of_one_kind_and_mixed_ones(shop):
    """A page of films has no songs, however well these would rank."""
    stock(shop)
    films = ids(shop.recommend(session_id="me", session_items=["i4"], filter={"kinds": ["film"]}))
    assert set(films) == {f"i{n}" for n in range(1, 22, 2)}
    both = ids(
        shop.recommend(
            session_id="me", session_items=["i4"], filter={"kinds": ["film", "song"]}, page_size=50
        )
    )
    assert set(both) == {f"i{n}" for n in range(22)}
    assert both[:5] == ids(shop.recommend(session_id="me", session_items=["i4"], page_size=5))


RARE = conditions.attribute("brand", "rare")


@pytest.mark.parametrize("call", ["recommend", "batch", "stream", "similar", "trending"])
def test_a_rare_condition_fills_the_page_in_every_call(shop, call):
    """Its items were never clicked: no ranking and no list of popular ones has them."""
    stock(shop)
    said = conditions.all_of(RARE, conditions.number("price", at_least=140, at_most=240))
    wanted = {"new40", "new80", "new120"}
    flt = {"condition": said}
    one = pb.RecommendRequest(session_id="me", session_items=["i4"], filter=flt)
    service = shop.service
    if call == "recommend":
        found = shop.recommend(session_id="me", session_items=["i4"], filter=flt)
    elif call == "batch":
        raw = pb.BatchRecommendRequest(requests=[one]).SerializeToString()
        found = pb.BatchRecommendResponse.FromString(service.batch_recommend(raw)).responses[0]
    elif call == "stream":
        raw = pb.StreamRecommendRequest(request=one).SerializeToString()
        found = pb.StreamRecommendResponse.FromString(service.stream_recommend(raw)).response
    elif call == "similar":
        raw = pb.SimilarItemsRequest(item_id="i4", filter=flt).SerializeToString()
        found = pb.SimilarItemsResponse.FromString(service.similar_items(raw))
    else:
        raw = pb.TrendingRequest(filter=flt).SerializeToString()
        found = pb.TrendingResponse.FromString(service.trending(raw))
    assert set(ids(found)) == wanted
    assert len(found.items) == len(wanted)


EMPTY = [
    conditions.all_of(conditions.kind("film"), conditions.kind("song")),
    conditions.all_of(RARE, conditions.not_(RARE)),
    conditions.any_of(conditions.kind("nothing"), conditions.attribute("brand", "none")),
    conditions.not_(conditions.any_of(RARE, conditions.not_(RARE))),
    conditions.number("price", at_least=1e300),
    conditions.number("weight"),
    conditions.all_of(conditions.segment("vip"), conditions.number("price", at_least=0)),
    conditions.not_(conditions.not_(conditions.category("nowhere"))),
]


@pytest.mark.parametrize("said", EMPTY, ids=range(len(EMPTY)))
def test_what_nothing_fulfils_is_an_empty_page_and_no_fault(shop, said):
    """A shop shows no shelf then; a page of anything else, or an error, would be seen."""
    stock(shop)
    shop.replica.apply_profile(
        b"u",
        Profile(
            user_id="u", version=1, items=[ProfileItem(item_id="i7", steps=1, weight=1)]
        ).SerializeToString(),
    )
    flt = {"condition": said, "include_unavailable": True}
    for visitor in (
        {"session_id": "me", "session_items": ["i4"]},
        {"session_id": "new"},
        {"session_id": "new", "user_id": "u"},
    ):
        assert not ids(shop.recommend(**visitor, filter=flt))
        assert not ids(shop.recommend(**visitor, filter=flt, explain=True))
    similar = pb.SimilarItemsRequest(item_id="i4", filter=flt).SerializeToString()
    assert not ids(pb.SimilarItemsResponse.FromString(shop.service.similar_items(similar)))
    trending = pb.TrendingRequest(filter=flt).SerializeToString()
    assert not ids(pb.TrendingResponse.FromString(shop.service.trending(trending)))


def test_what_everything_fulfils_changes_no_page(shop):
    """`not` of nothing is no filter: the same items in the same order."""
    stock(shop)
    asked = {"session_id": "me", "session_items": ["i4"]}
    plain = ids(shop.recommend(**asked))
    for said in (
        conditions.not_(conditions.kind("nothing")),
        conditions.any_of(RARE, conditions.not_(RARE)),
        conditions.not_(conditions.segment("vip")),
    ):
        assert ids(shop.recommend(**asked, filter={"condition": said})) == plain


def test_an_item_whose_time_is_over_is_no_answer_to_who_knows_it(shop):
    """Neither the session nor the profile brings a sale back that has ended."""
    shop.service._clock = lambda: 2_000.0
    put(shop, "i4", available_until_ms=2_000_000)
    put(shop, "i5", available_from_ms=2_000_001)
    shop.replica.apply_profile(
        b"u",
        Profile(
            user_id="u",
            version=1,
            items=[ProfileItem(item_id=i, steps=1, weight=1) for i in ("i4", "i5", "i6")],
        ).SerializeToString(),
    )
    for asked in (
        {"user_id": "u", "session_id": "new"},
        {"session_id": "s", "session_items": ["i3"]},
    ):
        page = ids(shop.recommend(**asked, page_size=50))
        assert "i6" in page
        assert not {"i4", "i5"} & set(page)
    similar = pb.SimilarItemsRequest(item_id="i3", page_size=50).SerializeToString()
    assert not {"i4", "i5"} & set(
        ids(pb.SimilarItemsResponse.FromString(shop.service.similar_items(similar)))
    )


def test_a_condition_follows_the_catalogue_and_the_visitor(shop):
    """What changed a moment ago counts, and a condition on the visitor is asked anew each time."""
    stock(shop)
    flt = {"condition": RARE}
    put(shop, "new0", kind="book", attributes={"brand": "common"})
    put(shop, "new1", kind="book", attributes={"brand": "rare"})
    shop.replica.apply_item(b"", encode_item(Item("new40", deleted=True)))
    put(shop, "new80", available=False, attributes={"brand": "rare"})
    assert set(ids(shop.recommend(session_id="me", filter=flt))) == {"new1", "new120", "new160"}
    everything = flt | {"include_unavailable": True, "excluded_item_ids": ["new120"]}
    assert set(ids(shop.recommend(session_id="me", filter=everything))) == {
        "new1", "new80", "new160",
    }  # fmt: skip
    on_tv = {"condition": conditions.all_of(RARE, conditions.context("device", "tv"))}
    assert not ids(shop.recommend(session_id="me", filter=on_tv))
    assert ids(shop.recommend(session_id="me", filter=on_tv, context={"device": "tv"}))


def test_items_are_available_by_the_clock_of_the_request(shop):
    """A flash sale ends when it ends, and not with the next write of the catalogue."""
    now = [1_000.0]
    shop.service._clock = lambda: now[0]
    put(shop, "sale", available_from_ms=2_000_000, available_until_ms=3_000_500)
    seen = []
    for at in (1_999.9, 2_000, 3_000, 3_001):
        now[0] = at
        page = ids(shop.recommend(session_id="x", page_size=50))
        trending = pb.TrendingRequest(page_size=50).SerializeToString()
        trend = ids(pb.TrendingResponse.FromString(shop.service.trending(trending)))
        assert ("sale" in page) == ("sale" in trend)
        seen.append("sale" in page)
    assert seen == [False, True, True, False]
    wide = {"include_unavailable": True}
    assert "sale" in ids(shop.recommend(session_id="x", page_size=50, filter=wide))
    shop.replica.pass_time(4_000, until=float("inf"))
    put(shop, "sale")
    assert "sale" in ids(shop.recommend(session_id="x", page_size=50))


def test_items_whose_time_is_over_do_not_keep_a_page_empty(shop):
    """News: most of the catalogue is over, and the lists of items are looked at to a bound."""
    engine = shop.replica.engine
    for n in range(400):
        put(shop, f"old{n}", categories=("news",), available_until_ms=1_000_000)
    put(shop, "fresh", categories=("news",))
    for n in range(400, 440):
        put(shop, f"old{n}", categories=("news",), available_until_ms=1_000_000)
    shop.service._clock = lambda: 2_000.0
    while engine.pass_time(2_000, most=7):
        pass
    walked = engine.arrays["walking"]
    assert ids(shop.recommend(session_id="x", filter={"categories": ["news"]})) == ["fresh"]
    assert walked["looked_at"][0] <= 2
    assert not engine.windows.due(1 << 40)


def test_a_restart_keeps_what_conditions_and_clocks_need(tmp_path, shop):
    """The index is in no snapshot: the catalogue's entries are, and say it again."""
    stock(shop)
    put(shop, "sale", kind="sale", available_until_ms=3_000_000)
    shop.replica.engine.remote, shop.replica.engine.sample = True, 0
    snapshot.write(shop.replica, tmp_path)
    again = snapshot.read(tmp_path, shop.replica.engine.limits)
    assert again is not None
    engine = again.engine
    for said in (RARE, conditions.kind("film"), conditions.number("price", at_least=290)):
        found = []
        for each in (shop.replica.engine, engine):
            bits = np.zeros(words(each.limits), np.int64)
            find_rows(condition_of(condition(said), NOBODY), each.facts, bits)
            rows = np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little"))
            found.append({each.item_id(row) for row in rows.tolist()})
        assert found[0] == found[1]
        assert found[0]
    assert (engine.arrays["open_rows"] == shop.replica.engine.arrays["open_rows"]).all()
    assert engine.windows.due(3_000)
    assert not engine.windows.due(2_999)


@given(st.integers(0, 1 << 30))
def test_pages_are_what_a_look_at_each_item_says(seed):
    """Under random conditions, while items come, change, go and are deleted."""
    from tests.unit.server.services.shop import Shop  # noqa: PLC0415 - one for each example

    rng = random.Random(seed)
    shop, held = Shop(), {}
    for n in range(120):
        item_id = f"x{rng.randrange(40)}"
        if rng.random() < 0.2:
            shop.replica.apply_item(item_id.encode(), encode_item(Item(item_id, deleted=True)))
            held.pop(item_id, None)
        else:
            held[item_id] = Item(
                item_id,
                available=rng.random() < 0.8,
                categories=tuple(rng.sample("abc", rng.randrange(3))),
                kind=rng.choice(["", "film", "song"]),
                numbers={"price": float(rng.randrange(5))} if rng.random() < 0.7 else {},
            )
            shop.replica.apply_item(item_id.encode(), encode_item(held[item_id]))
        if n % 10 == 0:
            shop.apply(record(f"v{n}", [f"x{rng.randrange(40)}" for _ in range(3)]))
            low = rng.randrange(5)
            said = conditions.all_of(
                conditions.not_(conditions.kind("song")),
                conditions.any_of(
                    conditions.category(rng.choice("abc")), conditions.number("price", at_least=low)
                ),
            )
            wide = rng.random() < 0.3
            flt = {"condition": said, "include_unavailable": wide, "kinds": ["film"]}
            category = said["all"]["conditions"][1]["any"]["conditions"][0]["category"]
            wanted = {
                i.item_id
                for i in held.values()
                if i.kind == "film"
                and (i.available or wide)
                and (category in i.categories or i.numbers.get("price", -1) >= low)
            }
            page = ids(shop.recommend(session_id="me", page_size=100, filter=flt))
            assert len(page) == len(wanted)
            assert set(page) == wanted
