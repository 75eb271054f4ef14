"""The certificate of a process: when it expires, and what is refused with a sentence."""

import math
import subprocess
import sys
import time

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
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
