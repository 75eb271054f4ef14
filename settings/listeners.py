"""Settings of what guards the ports of a process."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from settings.base import ProcessSettings


class ListenerSettings(ProcessSettings):
    """The certificate of a process, and the tokens of its callers; the files are watched."""

    tokens_file: str = Field(
        default="",
        description="File of the tokens of callers, which `nextclick tokens` writes; empty: they "
        "need none",
    )
    tls_certificate_file: str = Field(
        default="",
        description="PEM file of the certificate and its chain; empty: connections are plain",
    )
    tls_key_file: str = Field(default="", description="PEM file of its key")

    @model_validator(mode="after")
    def _both(self) -> Self:
        if bool(self.tls_certificate_file) != bool(self.tls_key_file):
            raise ValueError(
                "NEXTCLICK_TLS_CERTIFICATE_FILE and NEXTCLICK_TLS_KEY_FILE: set both or none"
            )
        return self
