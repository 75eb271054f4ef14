"""The live score of a running stack equals a count over its topics."""

from collections import Counter, defaultdict

from cli.stack import apps
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.session_pb2 import SessionRecord
from tests.integration.conftest import eventually
from tests.integration.test_path import fresh, views

VISITORS, CLICKS = 12, 5


def test_answers_to_requests_that_carry_the_session_are_scored_by_the_next_click(
    stack, client, reader
):
    """The live score judged an answer by the click that the caller had just told of."""

    def boards():
        scores = apps.server_status(stack.ports)["scoreboard"]
        return {model: board(score) for model, score in scores.items()}

    before = boards()
    impressions, sessions = reader("impressions"), reader("sessions")
    names = [fresh("v") for _ in range(VISITORS)]
    items = [f"live{n}" for n in range(CLICKS)]
    for name in names:
        # One visitor after another, so that from the second one on the next click can be foreseen.
        for place in range(CLICKS):
            assert client.put_events(views(name, items[place : place + 1])).accepted == 1
            if place + 1 < CLICKS:
                client.recommend(name, session_items=items[: place + 1])
        eventually(
            lambda name=name: versions(sessions, [name])[name],
            lambda version: version == CLICKS,
            "a visitor's clicks have arrived",
        )
    answers = eventually(
        lambda: shown(impressions, names),
        lambda found: len(found) == VISITORS * (CLICKS - 1),
        "all answers are recorded",
    )
    eventually(
        lambda: versions(sessions, names),
        lambda found: all(found[name] == CLICKS for name in names),
        "all clicks have arrived",
    )
    # Which ranking answers may change meanwhile; the others are scored in the shadow.
    ranks = defaultdict(Counter)
    found = 0
    for answer in answers:
        clicked = answer.session_version + len(answer.appended_item_ids)
        assert list(answer.appended_item_ids) == items[answer.session_version : clicked]
        for ranking in (answer, *answer.shadows):
            listed = list(ranking.item_ids)[:20]
            place = listed.index(items[clicked]) + 1 if items[clicked] in listed else 0
            ranks[ranking.model][place] += 1
            found += ranking is answer and place > 0
    expected = {
        model: before.get(model, NOTHING)["cases"] + n.total() for model, n in ranks.items()
    }
    after = eventually(
        boards,
        lambda now: all(now.get(m, NOTHING)["cases"] == n for m, n in expected.items()),
        "all answers are scored",
    )
    for model, counted in ranks.items():
        now, then = after[model], before.get(model, NOTHING)
        assert now["cases"] <= 1_000, "else the window has lost cases of before"
        hits = sum(n for rank, n in counted.items() if rank)
        assert round(now["hits"] - then["hits"]) == hits
        gain = sum(n / rank for rank, n in counted.items() if rank)
        assert abs(now["gain"] - then["gain"] - gain) < 0.01
    assert found > VISITORS, "what others clicked next is found"


NOTHING = {"cases": 0, "hits": 0.0, "gain": 0.0}


def board(score):
    """Sums over the last 1,000 cases of a ranking."""
    if not score["windows"]:
        return NOTHING
    window = score["windows"]["1000"]
    n = window["cases"]
    return {"cases": n, "hits": window["hit_rate_20"] * n, "gain": window["mrr_20"] * n}


def shown(impressions, names):
    """Answers that were recorded for these visitors."""
    found = [Impression.FromString(m.value()) for m in impressions.read()]
    return [answer for answer in found if answer.session_id in names]


def versions(sessions, names):
    """The newest version of each session."""
    found = dict.fromkeys(names, 0)
    for message in sessions.read():
        record = SessionRecord.FromString(message.value())
        if record.session_id in found:
            found[record.session_id] = max(found[record.session_id], record.version)
    return found
