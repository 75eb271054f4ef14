"""A secured stack: who may read its secrets, and what its users may do."""

import re
from pathlib import Path

import pytest

from cli.stack import apps, secured_kafka, secured_redis
from cli.stack.layout import PROJECT, Home, Ports
from cli.stack.secured import SCOPES, secure
from listeners.guard import guard_of
from listeners.tokens import decode_tokens


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def settings(home):
    return secure(home)


def test_it_is_the_ports_that_are_guarded(settings):
    """One that was left out would be plain, or open."""
    assert set(settings) == set(apps.UNGUARDED)
    assert all(settings.values())


def test_servers_take_its_files(settings):
    """They would not start."""
    files = ("TOKENS_FILE", "TLS_CERTIFICATE_FILE", "TLS_KEY_FILE", "TLS_CLIENT_CA_FILE")
    guard = guard_of(*(settings[f"NEXTCLICK_{name}"] for name in files))
    bearer = Path(settings["NEXTCLICK_TOKEN_FILE"]).read_text()
    assert guard.tokens.value.of(f"Bearer {bearer}").scopes == set(SCOPES)
    (token,) = decode_tokens(Path(settings["NEXTCLICK_TOKENS_FILE"]).read_bytes())
    assert bearer not in repr(token)


def test_nobody_else_reads_its_secrets(home, settings):
    """All users of a machine could be the operator."""
    folder = home.root / "secrets"
    assert folder.stat().st_mode & 0o077 == 0
    secrets = [*(folder / "kafka").iterdir(), *(folder / "redis").iterdir()]
    assert len(secrets) > 10
    assert all(file.stat().st_mode & 0o077 == 0 for file in secrets)


def test_each_process_is_a_user_of_its_own(home, settings):
    """The rights of its role would be another's."""
    for role, of_redis in (("server", "server"), ("store", "store"), ("emitter", "server")):
        env = apps.environment(home, Ports(), role)
        assert env["NEXTCLICK_KAFKA_USERNAME"] == role
        assert env["NEXTCLICK_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
        assert env["NEXTCLICK_REDIS"].startswith(f"rediss://nextclick-{of_redis}@")
        for name in ("KAFKA_PASSWORD_FILE", "REDIS_PASSWORD_FILE", "REDIS_CA_FILE"):
            assert Path(env[f"NEXTCLICK_{name}"]).is_file()


def test_a_stack_without_secrets_is_plain(home):
    """`up` would ask for what nobody has."""
    assert not secured_kafka.is_secured(home)
    assert not secured_redis.is_secured(home)
    env = apps.environment(home, Ports(), "store")
    assert env["NEXTCLICK_REDIS"] == f"redis://127.0.0.1:{Ports().redis}/0"
    assert not env["NEXTCLICK_REDIS_PASSWORD_FILE"]


def test_users_of_redis_have_the_rights_of_the_documentation():
    """The demo would show that others suffice."""
    text = (PROJECT / "docs" / "security.md").read_text()
    found = re.findall(r"^ +user nextclick-(\w+) on >PASSWORD (\S+) (.*(?:\n +\+.*)*)", text, re.M)
    documented = {role: (keys, " ".join(rights.split())) for role, keys, rights in found}
    keys = secured_redis.KEYS
    assert documented == {role: (keys, rights) for role, rights in secured_redis.RIGHTS.items()}
