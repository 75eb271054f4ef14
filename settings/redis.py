"""Where Redis is and how clients speak to it: one server, Sentinel's master, or a cluster."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationInfo, field_validator

SCHEMES = ("redis", "rediss", "unix")

SENTINEL_PORT = 26379


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class RedisSettings(BaseModel):
    """How to reach Redis. Files are PEM or hold one secret; empty texts stand for nothing."""

    redis: str = Field(
        default="redis://127.0.0.1:6379/0",
        description="URL of Redis, with the user; rediss:// for TLS",
    )
    redis_password_file: str = Field(default="", description="File with the user's password")
    redis_ca_file: str = Field(
        default="",
        description="Authorities that certificates of Redis are checked by, beside those that the "
        "system trusts",
    )
    redis_certificate_file: str = Field(
        default="", description="Our certificate, for servers that ask for one"
    )
    redis_key_file: str = Field(default="", validate_default=True, description="Its private key")
    redis_sentinels: str = Field(
        default="",
        description="Sentinels, host:port and commas, that name the master in place of the URL",
    )
    redis_service: str = Field(
        default="mymaster", min_length=1, description="The name that Sentinel has for the master"
    )
    redis_sentinel_user: str = Field(default="", description="User of Sentinel")
    redis_sentinel_password_file: str = Field(
        default="", description="File with the password of Sentinel's user"
    )
    redis_cluster: bool = Field(
        default=False, description="The URL is that of a node of a cluster, which names the others"
    )

    @property
    def redis_sentinel_addresses(self) -> list[Address]:
        """Where the Sentinels listen; empty: there are none."""
        return [_address(text) for text in self.redis_sentinels.split(",") if text]

    @field_validator("redis")
    @classmethod
    def _url_of_redis(cls, value: str) -> str:
        """Refuse what is no URL; what is wrong is not quoted, as it may be of the password."""
        wrong = ValueError(
            "is no URL of Redis, such as redis://USER@HOST:6379/0; in a password, write / as %2F, "
            "@ as %40, # as %23, ? as %3F"
        )
        try:
            url = urlsplit(value)
            url.port  # noqa: B018 - raises an error if it is no number
        except ValueError:
            raise wrong from None
        if url.scheme not in SCHEMES or url.fragment:
            raise wrong
        if url.scheme != "unix" and not re.fullmatch(r"/?|/\d+/?", url.path):
            raise wrong  # the library would take database 0
        return value

    @field_validator("redis_password_file")
    @classmethod
    def _only_password(cls, value: str, info: ValidationInfo) -> str:
        if value and urlsplit(info.data.get("redis", "")).password:
            raise ValueError("is set, and NEXTCLICK_REDIS has a password, too: keep one")
        return value

    @field_validator("redis_ca_file", "redis_certificate_file", "redis_key_file")
    @classmethod
    def _of_tls(cls, value: str, info: ValidationInfo) -> str:
        if value and urlsplit(info.data.get("redis", "rediss:")).scheme != "rediss":
            raise ValueError("is for TLS, and NEXTCLICK_REDIS does not begin with rediss://")
        return value

    @field_validator("redis_key_file")
    @classmethod
    def _certificate_for_redis(cls, value: str, info: ValidationInfo) -> str:
        if bool(value) != bool(info.data.get("redis_certificate_file", value)):
            raise ValueError("and NEXTCLICK_REDIS_CERTIFICATE_FILE need each other")
        return value

    @field_validator("redis_sentinels")
    @classmethod
    def _addresses(cls, value: str, info: ValidationInfo) -> str:
        for text in filter(None, value.split(",")):
            try:
                found = _address(text).host
            except ValueError:
                found = ""
            if not found:
                raise ValueError("has to be HOST:PORT,HOST:PORT")
        if value and urlsplit(info.data.get("redis", "")).scheme == "unix":
            raise ValueError("is set, and NEXTCLICK_REDIS is a socket of this machine")
        return value

    @field_validator("redis_cluster")
    @classmethod
    def _one_database(cls, value: bool, info: ValidationInfo) -> bool:
        url = urlsplit(info.data.get("redis", ""))
        if value and info.data.get("redis_sentinels"):
            raise ValueError("and NEXTCLICK_REDIS_SENTINELS exclude each other")
        if value and (url.scheme == "unix" or url.path.strip("/") not in ("", "0")):
            raise ValueError("needs a URL of a node, without a database")
        return value


def _address(text: str) -> Address:
    url = urlsplit(f"//{text.strip()}")
    return Address(url.hostname or "", url.port or SENTINEL_PORT)
