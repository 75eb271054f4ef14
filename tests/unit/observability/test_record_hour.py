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


@pytest.mark.parametrize("up", ["1", "0"])
def test_what_is_recorded_fires_as_it_would_have(up, tmp_path, monkeypatch):
    """A recording in which nothing could fire would be silent whatever the rules say."""

    def ask(url, path, query, start, end, step):
        times = range(start, end + 1, step)
        series = {
            "up": {"__name__": "up", "job": "nextclick-store", "instance": "store:8080"},
            "nextclick_redis_up": {"__name__": "nextclick_redis_up", "instance": "a"},
        }
        values = {"up": up, "nextclick_redis_up": "NaN"}
        if query not in series:
            return []
        return [{"metric": series[query], "values": [(at, values[query]) for at in times]}]

    monkeypatch.setattr(record_hour, "ask", ask)
    shutil.copy(FOLDER / "rules.yaml", tmp_path)
    (tmp_path / "hour.yaml").write_text(recorded("", 1_764_000_000, 60))
    if up == "1":
        promtool("test", "rules", "hour.yaml", folder=tmp_path)
    else:
        with pytest.raises(AssertionError, match="NextclickTargetDown"):
            promtool("test", "rules", "hour.yaml", folder=tmp_path)
