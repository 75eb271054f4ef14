"""Metrics: each one is documented."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from gateway import metrics as gateway_metrics
from listeners import certificates, process_info, watched_files
from server import metrics
from streaming import store_metrics
from tests.unit.documented_figures import figures

OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"
DECLARED = {
    metric.describe()[0].name: metric
    for module in (
        metrics,
        store_metrics,
        gateway_metrics,
        process_info,
        certificates,
        watched_files,
    )
    for metric in vars(module).values()
    if isinstance(metric, MetricWrapperBase)
}


def documented():
    """Labels of each metric of the table in docs/operating.md; a row may hold several."""
    table = OPERATING.read_text().partition("| metric | what it tells |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    found = re.findall(r"`(nextclick_\w+?)(?:_total)?(?:\{([\w,]+)\})?`", " ".join(cells))
    return {name: tuple(filter(None, labels.split(","))) for name, labels in found}


def test_every_metric_is_documented_with_its_labels():
    """An operator can watch no metric that they do not know, and none that does not exist."""
    assert documented() == {name: metric._labelnames for name, metric in DECLARED.items()}


def test_every_metric_is_held_to_the_truth():
    """The table of figures names the test that counts each of them from outside."""
    names = [name.removesuffix("_total") for names, _, _ in figures() for name in names]
    held = [name for name in names if name.startswith("nextclick_")]
    assert sorted(held) == sorted(DECLARED)


def test_what_was_not_measured_is_no_number_and_what_did_not_happen_is_0():
    """An alert on recall fired after each start, and one on the first dead letter never."""
    program = "from prometheus_client import generate_latest; import server.metrics; " + (
        "print(generate_latest().decode())"
    )
    argv = [sys.executable, "-c", program]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("nextclick_"))
    for name in ("redis_up", "index_recall", "snapshot_timestamp_seconds"):
        assert values[f"nextclick_{name}"] == "NaN"
    for counted in (
        'dead_letters_total{reason="malformed_json"}',
        'dead_letters_total{reason="unknown"}',
        'degraded_total{reason="DEGRADED_REASON_CATCHING_UP"}',
        'events_total{outcome="not_acknowledged"}',
        'redis_reads_total{outcome="failed"}',
        'calls_refused_total{reason="late"}',
    ):
        assert values[f"nextclick_{counted}"] == "0.0"


@pytest.mark.parametrize("name", DECLARED)
def test_every_metric_says_what_it_is(name):
    """The name alone leaves the unit, or the scope, to a guess."""
    assert DECLARED[name]._documentation
