"""Alerts: each fires when it should, says what is wrong, and leads to what to do."""

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.observability_files import FOLDER, alerts, promtool

ROOT = Path(__file__).parents[3]
RECORDED_HOUR = FOLDER / "demo_hour_test.yaml"


def anchor(heading):
    """The anchor of a heading of Markdown."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def section(runbook):
    """The text below the heading that a runbook names; fails if there is none."""
    path, _, wanted = runbook.partition("#")
    parts = re.split(r"^#+ (.+)$", (ROOT / path).read_text(), flags=re.MULTILINE)
    texts = dict(zip(map(anchor, parts[1::2]), parts[2::2], strict=True))
    assert wanted in texts, f"{path} has no heading {wanted}"
    return texts[wanted]


@pytest.mark.parametrize(("name", "alert"), alerts().items())
def test_every_alert_says_how_bad_it_is_and_what_to_do(name, alert):
    """It comes at night, to somebody who has not written it."""
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["summary"]
    assert f"`{name}`" in section(alert["annotations"]["runbook"])


def test_the_docs_name_no_alert_that_there_is_not():
    """An operator would wait for it."""
    told = (ROOT / "docs" / "operating.md").read_text()
    assert set(re.findall(r"`(Nextclick\w+)`", told)) == set(alerts())


def test_every_alert_is_fired_by_a_test():
    """One that cannot fire is worse than none."""
    tests = yaml.safe_load((FOLDER / "rules_test.yaml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert fired == set(alerts())


def test_prometheus_takes_configuration_and_rules():
    """It would not start with either of them wrong."""
    promtool("check", "rules", "rules.yaml")
    promtool("check", "config", "prometheus.yaml")


def test_every_alert_fires_on_made_series():
    """And on no others of them: each test has some that are as they should be."""
    promtool("test", "rules", "rules_test.yaml")


def test_no_alert_fires_in_an_hour_of_the_demo():
    """Alerts that fire while all is well are soon ignored."""
    if not RECORDED_HOUR.exists():
        pytest.skip("no hour has been recorded yet; tests/record_hour.py records one")
    promtool("test", "rules", RECORDED_HOUR.name)
