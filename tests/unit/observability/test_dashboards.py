"""Dashboards: as their declaration says, and queries that Prometheus understands."""

import importlib.util
import json

import pytest
from prometheus_client import generate_latest

from tests.unit.observability_files import FOLDER, filled_in, panels, promtool


@pytest.fixture(scope="module")
def generated():
    spec = importlib.util.spec_from_file_location("dashboards", FOLDER / "dashboards.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.files()


def test_the_dashboards_are_fresh(generated):
    """A changed declaration must not wait for whoever generates them next."""
    held = {path.name: path.read_text() for path in (FOLDER / "dashboards").glob("*.json")}
    assert held == generated


def test_panels_lie_beside_each_other(generated):
    """Grafana would move those that overlap, each time differently."""
    for text in generated.values():
        cells = [
            (x, y)
            for place in (panel["gridPos"] for panel in json.loads(text)["panels"])
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(set(cells)) == len(cells)
        assert max(x for x, _ in cells) < 24


def test_prometheus_understands_every_query(tmp_path):
    """A panel with a syntax error shows an error, in the one hour that it is needed."""
    recorded = [{"record": f"panel:{n}", "expr": filled_in(q)} for n, (_, q) in enumerate(panels())]
    rules = tmp_path / "panels.yaml"
    rules.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}))
    promtool("check", "rules", str(rules))


def test_the_metrics_keep_to_the_conventions():
    """Base units, `_total` for what only grows, help texts: what people and tools expect."""
    promtool("check", "metrics", text=generate_latest().decode())
