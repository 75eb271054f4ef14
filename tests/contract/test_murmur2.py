"""The oracle itself, against the vectors of Kafka's own unit test (UtilsTest.testMurmur2)."""

from __future__ import annotations

import pytest

from tests.contract.murmur2 import murmur2, partition


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_oracle_hashes_as_java(data: bytes, expected: int) -> None:
    """If it failed, the partition tests would compare with something that is not Java's."""
    assert murmur2(data) == expected
    assert partition(data, 4) == (expected & 0x7FFFFFFF) % 4
