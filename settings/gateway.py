"""Settings of the REST gateway."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from settings.client import CallerSettings
from settings.listeners import ListenerSettings


class GatewaySettings(ListenerSettings, CallerSettings):
    """Settings of the REST gateway, which knows neither Kafka nor Redis."""

    gateway_host: str = Field(
        default="127.0.0.1", description="Address that REST and its metrics listen on"
    )
    gateway_port: int = Field(default=8090, ge=1, le=65535, description="Port of REST")
    gateway_http_port: int = Field(
        default=0, ge=0, le=65535, description="Port of metrics and health; 0: none"
    )
    gateway_target: str = Field(
        default="127.0.0.1:50051",
        min_length=1,
        description="Where the servers are: a target of gRPC, whose addresses take turns",
    )
    gateway_timeout_s: float = Field(
        default=15,
        gt=0,
        le=600,
        description="Longest time for a call, and the time of one whose caller names none",
    )
    gateway_max_connections: int = Field(
        default=1_000, ge=1, le=100_000, description="The most open connections to REST"
    )
    gateway_origins: str = Field(
        default="",
        description="Origins whose pages may call, with commas between them; *: all; empty: none",
    )
    gateway_public_token_file: str = Field(
        default="",
        description="File with the token of calls that bring none; empty: they go without",
    )

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins, one by one."""
        return tuple(filter(None, (text.strip() for text in self.gateway_origins.split(","))))

    @model_validator(mode="after")
    def _by_name(self) -> Self:
        several = "," in self.gateway_target
        if several and not self.gateway_target.startswith(("ipv4:", "ipv6:")):
            raise ValueError(
                "NEXTCLICK_GATEWAY_TARGET: a list of addresses begins with ipv4: or ipv6:, such as "
                "ipv4:10.0.0.1:50051,10.0.0.2:50051; of names, take one that DNS has them for"
            )
        if self.server_ca_file and several:
            raise ValueError(
                "NEXTCLICK_GATEWAY_TARGET: over TLS, a list of addresses has no name that "
                "certificates could be for; give one that DNS has them for, such as "
                "dns:///servers:50051"
            )
        return self

    @field_validator("gateway_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for text in filter(None, (text.strip() for text in value.split(","))):
            if text != "*" and text != _as_browsers_send_it(text):
                raise ValueError(f"{text} is no origin such as https://shop.example")
        return value


DEFAULT_PORTS = {"http": 80, "https": 443}


def _as_browsers_send_it(text: str) -> str:
    """Return the origin of a URL: in small letters, without a user and a port that goes unsaid.

    Another spelling would be that of no page. Empty if there is no host.
    """
    url = urlsplit(text)
    if not url.hostname or "*" in url.hostname:
        return ""
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    told = url.port is not None and url.port != DEFAULT_PORTS.get(url.scheme)
    return f"{url.scheme}://{host}" + (f":{url.port}" if told else "")
