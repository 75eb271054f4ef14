"""TLS of a client: by what it knows the server, and by what the server knows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc


@dataclass(frozen=True, slots=True)
class Tls:
    """The PEM files of a client, read when it is made.

    Parameters
    ----------
    ca_file
        The CA of the server's certificate; None: those that gRPC brings along.
    certificate_file, key_file
        The client's own certificate and its key, where the server asks for one; both or none.
    server_name
        The name that the certificates of all servers are for, where the target is a list of
        addresses; None: the name or the address that is called.
    """

    ca_file: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Return them as gRPC takes them.

        Raises
        ------
        OSError
            If a file cannot be read.
        """
        ca, key, certificate = (
            Path(file).read_bytes() if file else None
            for file in (self.ca_file, self.key_file, self.certificate_file)
        )
        return grpc.ssl_channel_credentials(ca, key, certificate)
