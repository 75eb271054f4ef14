"""TLS on the gRPC port: each new connection gets the certificate that the files hold now."""

from __future__ import annotations

import grpc

from listeners.certificates import Certificate
from listeners.watched_files import WatchedFiles


def server_credentials(certificate: WatchedFiles[Certificate]) -> grpc.ServerCredentials:
    """Return the credentials of a port, which asks its callers for a certificate if a CA is given.

    Connections that are open go on with the certificates that they began with.
    """
    given = certificate.value

    def newer() -> grpc.ServerCertificateConfiguration | None:
        """Return what the next connection needs, None if it is what the last one got.

        grpc's core asks before each handshake, one at a time.
        """
        nonlocal given
        now = certificate.value
        if now is given:
            return None
        given = now
        return _configuration(now)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given),
        newer,  # type: ignore[arg-type] # None is in gRPC's documentation
        require_client_authentication=given.client_ca is not None,
    )


def _configuration(certificate: Certificate) -> grpc.ServerCertificateConfiguration:
    pair = (certificate.key, certificate.chain)
    return grpc.ssl_server_certificate_configuration([pair], certificate.client_ca)
