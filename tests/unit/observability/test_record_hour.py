"""The recording of an hour: what Prometheus has seen is what promtool sees."""

import shutil

import pytest

from tests import record_hour
from tests.record_hour import recorded, written
from tests.unit.observability_files import FOLDER, promtool


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["1", "1", "1", "_", "2.5"], "1x2 _ 2.5"),
        (["NaN", "NaN", "0"], "NaN NaN 0"),
        (["_", "_", "-1", "-1"], "_ _ -1x1"),
    ],
)
def test_values_are_written_as_promtool_reads_them(values, text):
    """Those that stand still, which most do, once: a file that people can look at."""
    assert written(values) == text


STARTED_S = 1_764_000_000
CHECKPOINT = "flink_jobmanager_job_lastCheckpointCompletedTimestamp"


@pytest.mark.parametrize(
    ("held", "alert"),
    [
        ({"up": "1", "nextclick_redis_up": "NaN"}, None),
        ({"up": "0"}, "NextclickTargetDown"),
        ({CHECKPOINT: f"{STARTED_S * 1_000}"}, "NextclickCheckpointOld"),
        ({CHECKPOINT: f"{(STARTED_S + 3_600) * 1_000}"}, None),
    ],
)
def test_what_is_recorded_fires_as_it_would_have(held, alert, tmp_path, monkeypatch):
    """A recording in which nothing could fire would be silent whatever the rules say."""

    def ask(url, path, query, start, end, step):
        if query not in held:
            return []
        metric = {"__name__": query, "job": "nextclick-store", "job_name": "sessions"}
        return [{"metric": metric, "values": [(at, held[query]) for at in range(start, end, step)]}]

    monkeypatch.setattr(record_hour, "ask", ask)
    shutil.copy(FOLDER / "rules.yaml", tmp_path)
    (tmp_path / "hour.yaml").write_text(recorded("", STARTED_S, 60))
    if alert is None:
        promtool("test", "rules", "hour.yaml", folder=tmp_path)
    else:
        with pytest.raises(AssertionError, match=alert):
            promtool("test", "rules", "hour.yaml", folder=tmp_path)
