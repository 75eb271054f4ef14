"""The certificate of a process: when it expires, and what is refused with a sentence."""

import math
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from prometheus_client import REGISTRY

from cli.stack.authority import Authority
from listeners.certificates import certificate_of

DAY_S = 86_400


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def expiry():
    return REGISTRY.get_sample_value("nextclick_certificate_expiry_timestamp_seconds")


@pytest.mark.parametrize("days", [-1, 1, 90])
def test_it_is_told_when_the_certificate_expires(authority, days):
    """An alert fires in time; also of one that has expired, so that all that is said is why."""
    mine = authority.issue("server", days=days)
    before = time.time()
    held = certificate_of(*mine, None).value
    assert before + days * DAY_S - 60 < held.expires_s < time.time() + days * DAY_S + 60
    assert expiry() == held.expires_s
    assert held.client_ca is None


def test_the_first_of_a_chain_to_expire_counts(authority, tmp_path):
    """An intermediate CA that has expired ends connections as the certificate's own end does."""
    mine = authority.issue("server", days=90)
    intermediate = authority.issue("intermediate", days=5)
    chain = tmp_path / "chain.pem"
    parts = (mine.certificate, intermediate.certificate)
    chain.write_bytes(b"".join(part.read_bytes() for part in parts))
    held = certificate_of(chain, mine.key, None).value
    assert held.expires_s < time.time() + 6 * DAY_S


def test_a_renewed_certificate_is_told_with_its_own_expiry(authority):
    """The alert must end without a restart."""
    files = certificate_of(*authority.issue("server", days=1), authority.certificate)
    before = expiry()
    authority.issue("server", days=90)
    files.refresh()
    assert expiry() == files.value.expires_s > before + 80 * DAY_S
    assert files.value.client_ca == authority.certificate.read_bytes()


def test_an_expired_one_does_not_take_the_place_of_a_good_one(authority, caplog):
    """An old copy was put back, and from then on no client could connect."""
    files = certificate_of(*authority.issue("server", days=-1), None)
    authority.issue("server", days=5)
    files.refresh()
    good = files.value
    authority.issue("server", days=-1)
    files.refresh()
    assert files.value is good
    assert expiry() == good.expires_s
    assert "the certificate has expired" in caplog.text
    authority.issue("server", days=90)
    files.refresh()
    assert files.value.expires_s > good.expires_s


def test_a_process_without_a_certificate_has_no_expiry():
    """0 would be a certificate that has expired in 1970."""
    program = "from listeners.certificates import EXPIRY; print(EXPIRY._value.get())"
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert math.isnan(float(done.stdout))


def encrypted(key):
    return load_pem_private_key(key.read_bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
    )


@pytest.mark.parametrize("what", ["torn", "empty", "key of another", "encrypted", "no CA"])
def test_files_that_do_not_fit_are_refused(authority, what):
    """While they are replaced, one may be new and the other old: that is no pair."""
    mine, another = authority.issue("server"), authority.issue("another")
    client_ca = authority.certificate if what == "no CA" else None
    content, sentence = {
        "torn": (mine.key.read_bytes()[:50], "the second file holds no private key"),
        "empty": (b"", "the second file holds no private key"),
        "key of another": (another.key.read_bytes(), "the key is not that of the certificate"),
        "encrypted": (encrypted(mine.key), "no private key without a password"),
        "no CA": (b"", "the last file holds no certificate of a CA"),
    }[what]
    (client_ca or mine.key).write_bytes(content)
    with pytest.raises(SystemExit, match=sentence) as refused:
        certificate_of(*mine, client_ca)
    assert "BEGIN" not in str(refused.value)
    mine = authority.issue("server")
    mine.certificate.write_bytes(b"no PEM")
    with pytest.raises(SystemExit, match="the first file holds no certificate"):
        certificate_of(*mine, None)


def issued(folder, key):
    """PEM files of a certificate for a key, which it signs itself, and of the key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = builder.public_key(key.public_key()).sign(key, algorithm)
    paths = folder / "server.pem", folder / "server-key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["Ed25519", "P-521", "secp256k1"],
)
def test_a_key_that_grpc_does_not_take_is_refused(tmp_path, key):
    """It was said that the port is taken, or that it is served, and no client could connect."""
    with pytest.raises(SystemExit, match="neither RSA nor of the curves P-256 and P-384"):
        certificate_of(*issued(tmp_path, key), None)


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65_537, 2_048), ec.generate_private_key(ec.SECP384R1())],
    ids=["RSA", "P-384"],
)
def test_a_key_of_another_kind_than_ours_is_taken(tmp_path, key):
    """As those are that a company's own authority gives."""
    assert certificate_of(*issued(tmp_path, key), None).value.key
