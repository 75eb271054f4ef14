"""Settings of those who call a server, which are also settings of the server itself."""

from __future__ import annotations

from pydantic import Field

from settings.base import Settings


class ClientSettings(Settings):
    """Where a server on this machine answers, and what calls to it must carry."""

    grpc_port: int = Field(default=50051, ge=1, le=65535, description="Port of gRPC")
    token: str = Field(
        default="",
        description="Token that every call except health checks must carry; empty: none",
    )
