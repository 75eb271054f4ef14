"""Settings of those who call a server."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from settings.base import ProcessSettings, Settings


class GrpcSettings(Settings):
    """Where a server on this machine answers."""

    grpc_port: int = Field(default=50051, ge=1, le=65535, description="Port of gRPC")


class CallerSettings(ProcessSettings):
    """How a caller knows a server, and the server knows it."""

    server_ca_file: str = Field(
        default="",
        description="PEM file of the CA of the server's certificate; empty: connections are plain",
    )
    client_certificate_file: str = Field(
        default="", description="PEM file of the caller's own certificate; empty: none"
    )
    client_key_file: str = Field(default="", description="PEM file of its key")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.client_certificate_file) != bool(self.client_key_file):
            raise ValueError(
                "NEXTCLICK_CLIENT_CERTIFICATE_FILE and NEXTCLICK_CLIENT_KEY_FILE: set both or none"
            )
        if self.client_certificate_file and not self.server_ca_file:
            raise ValueError(
                "NEXTCLICK_CLIENT_CERTIFICATE_FILE needs NEXTCLICK_SERVER_CA_FILE, by which the "
                "server is known"
            )
        return self


class ClientSettings(GrpcSettings, CallerSettings):
    """What calls to a server carry."""

    token_file: str = Field(
        default="", description="File with the token that calls carry; empty: none"
    )
