"""The certificate of a process: its PEM files, checked, and when it expires."""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from prometheus_client import Gauge

from listeners.watched_files import WatchedFiles

EXPIRY = Gauge(
    "nextclick_certificate_expiry_timestamp_seconds",
    "When the certificate of this process expires, or the first of its chain, in seconds since "
    "1970; no number: it has none",
)
EXPIRY.set(math.nan)

CURVES = (ec.SECP256R1, ec.SECP384R1)
"""Those of keys that clients of gRPC take, and browsers."""


class Certificate(NamedTuple):
    """A certificate with its chain and its key, as PEM, and the CAs of callers."""

    chain: bytes
    key: bytes
    client_ca: bytes | None
    """The CAs of which callers must have a certificate; None: they need none."""
    expires_s: float
    """When the first of the chain expires, in seconds since 1970."""
    context: ssl.SSLContext
    """For listeners other than gRPC's; asks for no certificate of the caller."""


def certificate_of(chain: Path, key: Path, client_ca: Path | None) -> WatchedFiles[Certificate]:
    """Return what is held by the files of a certificate, of its key, and of the callers' CAs.

    One that has expired does not take the place of one that has not; at the start, it is better
    than none.

    Raises
    ------
    SystemExit
        If they cannot be read, or do not fit each other.
    """
    in_use_until_s = -math.inf

    def parse(contents: Sequence[bytes]) -> Certificate:
        nonlocal in_use_until_s
        pem, key_pem, *more = contents
        certificates = certificates_of(pem, "the first file holds no certificate")
        check_key(certificates[0], key_pem)
        for ca_pem in more:
            certificates_of(ca_pem, "the last file holds no certificate of a CA")
        expires_s = min(entry.not_valid_after_utc.timestamp() for entry in certificates)
        if expires_s < time.time() < in_use_until_s:
            raise ValueError("the certificate has expired, or one of its chain")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(chain, key, password="")
        except ssl.SSLError as e:
            raise ValueError(f"OpenSSL does not take them ({e.reason})") from None
        EXPIRY.set(expires_s)
        in_use_until_s = expires_s
        return Certificate(pem, key_pem, more[0] if more else None, expires_s, context)

    paths = [chain, key, *([client_ca] if client_ca else [])]
    return WatchedFiles("certificate", paths, parse)


def certificates_of(pem: bytes, fault: str) -> list[x509.Certificate]:
    """Return the certificates of a file, at least one, or raise a ValueError with the fault."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError(fault) from None


def check_key(certificate: x509.Certificate, pem: bytes) -> None:
    """Raise a ValueError unless the key is that of the certificate, and all callers take its kind.

    Of others, such as Ed25519, gRPC takes none, or none of its clients does.
    """
    try:
        key = load_pem_private_key(pem, password=None)
        fits = key.public_key() == certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # TypeError: it is encrypted.
        raise ValueError("the second file holds no private key without a password") from None
    if not fits:
        raise ValueError("the key is not that of the certificate")
    curve = key.curve if isinstance(key, ec.EllipticCurvePrivateKey) else None
    if not isinstance(key, rsa.RSAPrivateKey) and not isinstance(curve, CURVES):
        raise ValueError("the key is neither RSA nor of the curves P-256 and P-384")
