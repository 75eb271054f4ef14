"""Commands take from the environment and the file what no option says."""

import pytest

from cli.stack import apps
from cli.stack.layout import Child, Home, Ports


@pytest.mark.parametrize(("setting", "realtime"), [(None, "true"), ("false", None)])
def test_real_time_priority_is_the_operators_choice(monkeypatch, tmp_path, setting, realtime):
    """`up` forced it on: on a machine of others, their processes waited for every answer."""
    if setting is not None:
        monkeypatch.setenv("NEXTCLICK_REALTIME", setting)
    seen = {}

    def spawn(name, argv, log, env, **_):
        seen.update(env)
        return Child(name, 1, 0.0)

    monkeypatch.setattr(apps, "spawn", spawn)
    apps.start_server(Home(tmp_path), Ports(), bound=False)
    assert seen.get("NEXTCLICK_REALTIME") == realtime
