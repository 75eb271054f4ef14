"""The one place where clients of a Redis are made from the settings: TLS, users, Sentinel, cluster.

Files are read for each connection: certificates and passwords may be replaced meanwhile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.cluster import ClusterParser
from redis.connection import ConnectionPool, parse_url
from redis.credentials import CredentialProvider
from redis.sentinel import Sentinel, SentinelConnectionPool

from connections.cluster import ClusterMasters
from connections.masters import Masters, SentinelMaster
from settings.redis import Address, RedisSettings

PORT = 6379


class Credentials(CredentialProvider):
    """A user and the password in a file, which may be replaced while clients run."""

    def __init__(self, user: str, password_file: str) -> None:
        self._user = user
        self._file = password_file

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return what AUTH takes.

        Raises
        ------
        redis.AuthenticationError
            If the file cannot be read, or holds no text.
        """
        try:
            password = Path(self._file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as e:
            why = e.strerror if isinstance(e, OSError) else "it is no UTF-8"
            raise redis.AuthenticationError(f"{self._file} cannot be read: {why}") from None
        return (self._user, password) if self._user else (password,)


def masters_of(settings: RedisSettings, timeout_s: float, connect_timeout_s: float) -> Masters:
    """Return the masters of the Redis of some settings; connects to nobody yet.

    Parameters
    ----------
    settings
        Where Redis is, and how it is spoken to.
    timeout_s
        Of each read and write, also those of the handshake.
    connect_timeout_s
        Until a server takes a connection.

    Raises
    ------
    SystemExit
        If a file cannot be read, or the URL has an option that there is not, with the setting.
    """
    _check_files(settings)
    _check_options(settings.redis)
    url: dict[str, Any] = dict(parse_url(settings.redis))
    shared: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": connect_timeout_s,
        "lib_name": None,  # saves two round trips when connecting
        "lib_version": None,
    }
    tls = urlsplit(settings.redis).scheme == "rediss"
    if tls:
        shared |= {
            "ssl_ca_certs": settings.redis_ca_file or None,
            "ssl_certfile": settings.redis_certificate_file or None,
            "ssl_keyfile": settings.redis_key_file or None,
            "ssl_check_hostname": url.pop("ssl_check_hostname", True),
        }
    options = url | shared
    if settings.redis_password_file:
        user = options.pop("username", "")
        options["credential_provider"] = Credentials(user, settings.redis_password_file)
    first = Address(options.pop("host", "localhost"), options.pop("port", PORT))
    if settings.redis_sentinels:
        options.pop("connection_class", None)
        return _watched(settings, options, shared, tls)
    if not settings.redis_cluster:
        options |= first._asdict() if "path" not in options else {}
        return Masters(options.get("path", f"{first.host}:{first.port}"), ConnectionPool(**options))
    options["parser_class"] = ClusterParser
    options.pop("db", None)

    def connect(node: Address) -> redis.Redis:
        return redis.Redis(connection_pool=ConnectionPool(**options, **node._asdict()))

    return ClusterMasters(first, connect)


def _watched(
    settings: RedisSettings, options: dict[str, Any], shared: dict[str, Any], tls: bool
) -> SentinelMaster:
    """Return the master that Sentinels name; they are spoken to with the same certificates."""
    of_sentinels = shared | {"ssl": tls}
    if settings.redis_sentinel_password_file:
        user, file = settings.redis_sentinel_user, settings.redis_sentinel_password_file
        of_sentinels["credential_provider"] = Credentials(user, file)
    sentinels = Sentinel(settings.redis_sentinel_addresses, sentinel_kwargs=of_sentinels)
    pool = SentinelConnectionPool(settings.redis_service, sentinels, ssl=tls, **options)
    return SentinelMaster(settings.redis_service, pool)


def _check_options(url: str) -> None:
    """Exit with a sentence if connections could not be made with what follows the URL's `?`.

    Each connection would fail with an error that is none of Redis's, which nobody expects.
    """
    try:
        ConnectionPool.from_url(url).make_connection()
    except (TypeError, ValueError, redis.RedisError):
        raise SystemExit(
            "NEXTCLICK_REDIS: an option behind `?` does not exist, or not with that value"
        ) from None


def _check_files(settings: RedisSettings) -> None:
    """Exit with a sentence if a file cannot be read: a failed handshake would not say which."""
    for name in RedisSettings.model_fields:
        path = getattr(settings, name)
        if name.endswith("_file") and path:
            try:
                Path(path).open("rb").close()
            except OSError as e:
                raise SystemExit(
                    f"NEXTCLICK_{name.upper()}: {path} cannot be read: {e.strerror}"
                ) from None
