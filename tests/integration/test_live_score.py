"""The live score of a running stack equals a count over its topics."""

from collections import Counter

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

    def status():
        return apps.server_status(stack.ports)

    ranking = status()["ranking"]
    before = board(status(), ranking)
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
    ranks = Counter()
    for answer in answers:
        assert answer.model == ranking
        clicked = answer.session_version + len(answer.appended_item_ids)
        assert list(answer.appended_item_ids) == items[answer.session_version : clicked]
        listed = list(answer.item_ids)[:20]
        ranks[listed.index(items[clicked]) + 1 if items[clicked] in listed else 0] += 1
    after = eventually(
        lambda: board(status(), ranking),
        lambda now: now["cases"] == before["cases"] + len(answers),
        "all answers are scored",
    )
    assert after["cases"] <= 1_000, "else the window has lost cases of before"
    hits = sum(n for rank, n in ranks.items() if rank)
    assert round(after["hits"] - before["hits"]) == hits
    assert hits > VISITORS, "what others clicked next is found"
    gain = sum(n / rank for rank, n in ranks.items() if rank)
    assert abs(after["gain"] - before["gain"] - gain) < 0.01


def board(status, ranking):
    """Sums over the last 1,000 cases of a ranking."""
    score = status["scoreboard"].get(ranking)
    if score is None or not score["windows"]:
        return {"cases": 0, "hits": 0.0, "gain": 0.0}
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
