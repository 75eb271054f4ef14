"""How Redis is reached: what cannot be meant is refused, with the setting that says it."""

import pytest

from settings.load import load
from settings.store import StoreSettings

TLS = {"REDIS": "rediss://store@cache:6380"}


def loaded(monkeypatch, **values):
    for name, value in values.items():
        monkeypatch.setenv(f"NEXTCLICK_{name}", value)
    return load(StoreSettings)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"REDIS_CA_FILE": "ca.crt"}, "REDIS_CA_FILE: is for TLS, and NEXTCLICK_REDIS"),
        (TLS | {"REDIS_KEY_FILE": "tls.key"}, "REDIS_KEY_FILE: and NEXTCLICK_REDIS_CERTIFICATE"),
        (TLS | {"REDIS_CERTIFICATE_FILE": "tls.crt"}, "REDIS_KEY_FILE: and NEXTCLICK_REDIS_CERT"),
        (
            {"REDIS": "redis://store:secret@cache", "REDIS_PASSWORD_FILE": "password"},
            "REDIS_PASSWORD_FILE: is set, and NEXTCLICK_REDIS has a password",
        ),
        ({"REDIS": "redis://:secret#1@cache:6379/0"}, "REDIS: is no URL of Redis, .* write / as"),
        ({"REDIS": "redis://:p@secret/1@cache:6379/0"}, "REDIS: is no URL of Redis, .* write / as"),
        ({"REDIS": "redis://cache:6379/sessions"}, "REDIS: is no URL of Redis, such as"),
        ({"REDIS_SENTINELS": "a:b"}, "REDIS_SENTINELS: has to be HOST:PORT"),
        ({"REDIS_SENTINELS": "a:1,:2"}, "REDIS_SENTINELS: has to be HOST:PORT"),
        ({"REDIS": "unix:///redis", "REDIS_SENTINELS": "a:1"}, "REDIS_SENTINELS: is set, and"),
        ({"REDIS_SENTINELS": "a:1", "REDIS_CLUSTER": "true"}, "REDIS_CLUSTER: and NEXTCLICK_REDIS"),
        ({"REDIS": "redis://cache/1", "REDIS_CLUSTER": "true"}, "REDIS_CLUSTER: needs a URL"),
        ({"REDIS": "unix:///redis", "REDIS_CLUSTER": "true"}, "REDIS_CLUSTER: needs a URL"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(monkeypatch, values, said):
    """One of them would be ignored, and a connection plain that was meant to be safe."""
    with pytest.raises(SystemExit, match=f"^NEXTCLICK_{said}") as end:
        loaded(monkeypatch, **values)
    assert "secret" not in str(end.value)


def test_what_is_meant_is_taken(monkeypatch):
    """Addresses of Sentinels as people write them."""
    more = {"REDIS_CERTIFICATE_FILE": "tls.crt", "REDIS_KEY_FILE": "tls.key"}
    settings = loaded(monkeypatch, **TLS, **more, REDIS_SENTINELS="a, b:1,[::1]:2")
    assert settings.redis_sentinel_addresses == [("a", 26379), ("b", 1), ("::1", 2)]
    monkeypatch.delenv("NEXTCLICK_REDIS_SENTINELS")
    assert loaded(monkeypatch, REDIS_CLUSTER="true").redis_cluster
