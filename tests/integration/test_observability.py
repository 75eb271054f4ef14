"""A real Prometheus watches the running stack: what dashboards show and alerts ask is there."""

import pytest

from nextclick import Event, InvalidRequestError, Item
from tests import real_prometheus
from tests.integration.conftest import eventually
from tests.integration.test_path import fresh, now_ms, views
from tests.real_prometheus import ask, prometheus_of
from tests.unit.gateway.process import gateway_process
from tests.unit.observability_files import alerts, filled_in, panels

SESSIONS, STEPS = 60, 6

EMPTY = ("Since the last drift of the hit rate", "Time until certificates expire")
"""Panels that show something only once something has happened that no test can bring about, or
where connections are not plain."""


@pytest.fixture
def gateway(stack):
    """A gateway in front of the server: where it listens, and its port for metrics."""
    with gateway_process(stack.target) as (_, rest, http_port):
        yield rest, http_port


@pytest.fixture
def prometheus(stack, gateway, tmp_path):
    if not real_prometheus.installed():
        pytest.skip(real_prometheus.MISSING)
    with prometheus_of(stack.ports, tmp_path, scrape_s=1, gateway=gateway[1]) as url:
        yield url


def traffic(rest, client, producer):
    """Everything that a panel counts: answers and faults, clicks, items, what cannot be used."""
    items = [fresh("i") for _ in range(80)]
    client.put_items([Item(item_id, categories=("c",), title="thing") for item_id in items])
    for n in range(SESSIONS):
        session_id = fresh("s")
        for step in range(STEPS):
            client.recommend(session_id)
            client.put_events(views(session_id, [items[(n + step) % len(items)]]))
    client.recommend(fresh("s"), user_id=fresh("u"))
    assert rest.call("recommend", {"session_id": fresh("s")}).status == 200
    client.put_events([Event("view", "", now_ms(), session_id="s")])
    with pytest.raises(InvalidRequestError):
        client.recommend("s", page_size=1_000)
    producer.produce("events", b"garbage", "bad")
    producer.flush()


def shows(url, query):
    return bool(ask(url, "query", query=filled_in(query)))


def test_every_panel_shows_data_of_a_running_stack(client, producer, gateway, prometheus):
    """A panel without data is found out in the one hour that it is needed."""
    wanted = [(name, query) for name, query in panels() if name.split(": ", 1)[1] not in EMPTY]

    def empty():
        traffic(gateway[0], client, producer)
        return [(name, query) for name, query in wanted if not shows(prometheus, query)]

    eventually(empty, lambda found: not found, "data in each panel")
    [ready] = ask(prometheus, "query", query="sum(nextclick_serving)")
    assert ready["value"][1] == "2", "the server and the emitter"
    for name in ("items", "sessions"):
        for limit in ask(prometheus, "query", query=f"nextclick_max_{name}"):
            assert float(limit["value"][1]) > 1_000


def test_every_target_is_up_and_no_alert_has_an_error(prometheus):
    """A rule that Prometheus cannot evaluate alerts nobody."""

    def down():
        targets = ask(prometheus, "query", query="up")
        return [t["metric"] for t in targets if t["value"][1] != "1"] if len(targets) > 6 else ["?"]

    eventually(down, lambda found: not found, "seven targets that answer")
    assert {t["metric"]["job"] for t in ask(prometheus, "query", query="up")} == {
        "nextclick-server",
        "nextclick-emitter",
        "nextclick-store",
        "nextclick-gateway",
        "nextclick-flink",
    }
    for alert in alerts().values():
        ask(prometheus, "query", query=alert["expr"])
