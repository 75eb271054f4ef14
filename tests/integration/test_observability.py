"""A real Prometheus watches the running stack: what dashboards show and alerts ask is there."""

import pytest

from nextclick import Event, InvalidRequestError, Item
from tests import real_prometheus
from tests.integration.conftest import eventually
from tests.integration.test_path import fresh, now_ms, views
from tests.real_prometheus import ask, prometheus_of
from tests.unit.observability_files import alerts, filled_in, panels

SESSIONS, STEPS = 60, 6

EMPTY = ("Since the last drift of the hit rate",)
"""Panels that show something only once something has happened that no test can bring about."""


@pytest.fixture
def prometheus(stack, tmp_path):
    if not real_prometheus.installed():
        pytest.skip(real_prometheus.MISSING)
    with prometheus_of(stack.ports, tmp_path, scrape_s=1) as url:
        yield url


def traffic(stack, client, producer):
    """Everything that a panel counts: answers and faults, clicks, items, what cannot be used."""
    items = [fresh("i") for _ in range(80)]
    client.put_items([Item(item_id, categories=("c",), title="thing") for item_id in items])
    for n in range(SESSIONS):
        session_id = fresh("s")
        for step in range(STEPS):
            client.recommend(session_id)
            client.put_events(views(session_id, [items[(n + step) % len(items)]]))
    client.recommend(fresh("s"), user_id=fresh("u"))
    client.put_events([Event("view", "", now_ms(), session_id="s")])
    with pytest.raises(InvalidRequestError):
        client.recommend("s", page_size=1_000)
    producer.produce("events", b"garbage", "bad")
    producer.flush()


def shows(url, query):
    return bool(ask(url, "query", query=filled_in(query)))


def test_every_panel_shows_data_of_a_running_stack(stack, client, producer, prometheus):
    """A panel without data is found out in the one hour that it is needed."""
    wanted = [(name, query) for name, query in panels() if name.split(": ", 1)[1] not in EMPTY]

    def empty():
        traffic(stack, client, producer)
        return [(name, query) for name, query in wanted if not shows(prometheus, query)]

    eventually(empty, lambda found: not found, "data in each panel")
    [ready] = ask(prometheus, "query", query="sum(nextclick_serving)")
    assert ready["value"][1] == "2", "the server and the emitter"
    for name in ("items", "sessions"):
        for limit in ask(prometheus, "query", query=f"nextclick_max_{name}"):
            assert float(limit["value"][1]) > 1_000


def test_every_target_is_up_and_no_alert_has_an_error(stack, prometheus):
    """A rule that Prometheus cannot evaluate alerts nobody."""

    def down():
        targets = ask(prometheus, "query", query="up")
        return [t["metric"] for t in targets if t["value"][1] != "1"] if len(targets) > 5 else ["?"]

    eventually(down, lambda found: not found, "six targets that answer")
    assert {t["metric"]["job"] for t in ask(prometheus, "query", query="up")} == {
        "nextclick-server",
        "nextclick-emitter",
        "nextclick-store",
        "nextclick-flink",
    }
    for alert in alerts().values():
        ask(prometheus, "query", query=alert["expr"])
