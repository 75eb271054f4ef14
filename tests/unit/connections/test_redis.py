"""What clients of a Redis are made with; that they work is tested on real servers."""

import pytest
import redis
from redis.connection import SSLConnection, UnixDomainSocketConnection

from connections.cluster import ClusterMasters
from connections.redis import masters_of
from settings.redis import RedisSettings


def connections(*, timeout_s=5.0, **settings):
    """The masters of some settings, and a connection to one of them."""
    masters = masters_of(RedisSettings(**settings), timeout_s, connect_timeout_s=2.0)
    [client] = masters.clients.values()
    return masters, client.connection_pool.make_connection()


def test_a_url_says_where_redis_is():
    """Each part of it is used, and the timeouts are ours whatever it says."""
    url = "redis://:secret@cache:6380/2?socket_timeout=900"
    masters, connection = connections(redis=url)
    assert list(masters.clients) == ["cache:6380"]
    assert (connection.host, connection.port, connection.db) == ("cache", 6380, 2)
    assert (connection.password, connection.socket_timeout) == ("secret", 5.0)
    masters, connection = connections(redis="redis://cache")
    assert list(masters.clients) == ["cache:6379"]
    masters, connection = connections(redis="unix:///run/redis.sock?db=1")
    assert list(masters.clients) == ["/run/redis.sock"]
    assert isinstance(connection, UnixDomainSocketConnection)


@pytest.mark.parametrize("more", [{}, {"redis_sentinels": "a:1"}])
def test_host_names_are_checked_under_tls(more):
    """The library does not unless it is told to."""
    _, connection = connections(redis="rediss://cache", **more)
    assert isinstance(connection, SSLConnection)
    assert connection.check_hostname


def test_a_cluster_has_no_masters_before_it_was_asked():
    """A server starts while Redis is away: making its clients connects to nobody."""
    masters = masters_of(RedisSettings(redis="redis://cache", redis_cluster=True), 5.0, 2.0)
    assert isinstance(masters, ClusterMasters)
    assert not masters.clients
    assert masters.of("key") == ""


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """A handshake that fails does not say which."""
    for name in ("ca_file", "password_file"):
        with pytest.raises(SystemExit, match=f"NEXTCLICK_REDIS_{name.upper()}: .*/none cannot"):
            connections(redis="rediss://cache", **{f"redis_{name}": str(tmp_path / "none")})


@pytest.mark.parametrize("option", ["socket_timeout=soon", "nonsense=1", "ssl_cert_reqs=none"])
def test_an_option_that_does_not_exist_is_refused_at_the_start(option):
    """Each connection would fail with an error that ends the thread which looks after them."""
    with pytest.raises(SystemExit, match=r"^NEXTCLICK_REDIS: an option behind"):
        connections(redis=f"redis://:secret@cache/0?{option}")
    assert connections(redis="rediss://cache/0?ssl_cert_reqs=none")


def test_a_password_file_that_becomes_no_text_is_an_error_of_redis(tmp_path):
    """Another one would end the store, and the server's thread that notices when Redis is back."""
    file = tmp_path / "password"
    file.write_text("secret\n")
    _, connection = connections(redis_password_file=str(file))
    file.write_bytes("pässword".encode("latin-1"))
    with pytest.raises(redis.AuthenticationError, match="password cannot be read: it is no UTF-8"):
        connection.credential_provider.get_credentials()


def test_a_password_comes_from_its_file(tmp_path):
    """Without the line's end that editors put there; the user is that of the URL, if any."""
    file = tmp_path / "password"
    file.write_text("secret\n")
    for url, credentials in {
        "redis://store@cache": ("store", "secret"),
        "redis://cache": ("secret",),
    }.items():
        _, connection = connections(redis=url, redis_password_file=str(file))
        assert connection.credential_provider.get_credentials() == credentials
        assert "secret" not in repr(connection)
