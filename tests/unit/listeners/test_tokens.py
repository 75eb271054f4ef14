"""Tokens: made of random bits, kept as hashes, found by what a call carries."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listeners.tokens import (
    BEARER,
    MAX_TOKENS,
    PREFIX,
    Scope,
    Token,
    Tokens,
    decode_tokens,
    encode_tokens,
    hash_of,
    new_token,
)

SHOP, OPS = PREFIX + 43 * "s", PREFIX + 43 * "o"
TOKENS = [
    Token("shop", frozenset([Scope.RECOMMEND, Scope.EVENTS]), hash_of(SHOP), "2026-11-28"),
    Token("ops", frozenset(Scope), hash_of(OPS), "2026-11-27"),
]


def test_a_token_is_found_by_what_a_call_carries():
    """The second time by the header itself."""
    tokens = Tokens(TOKENS)
    for _ in range(2):
        assert tokens.of(f"Bearer {SHOP}") == TOKENS[0]
        assert tokens.of(f"Bearer {OPS}") == TOKENS[1]
        assert tokens.of(f"bearer {SHOP}") == tokens.of(f"BEARER {SHOP}") == TOKENS[0]


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", BEARER, SHOP, f"bearer{SHOP}", f"Bearer  {SHOP}", f"Bearer {SHOP} ",
     f"Bearer {SHOP[:-1]}", f"Bearer {hash_of(SHOP)}", "Bearer \u00fc", f"Bearer {SHOP},{OPS}"],
)  # fmt: skip
def test_what_is_no_token_of_ours_is_not_found(header):
    """The hash of a token, which whoever reads the file has, is no token."""
    assert Tokens(TOKENS).of(header) is None


@given(st.text())
def test_any_text_is_looked_up_without_an_error(text):
    """It is whatever a caller sends."""
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert Tokens(TOKENS).of(BEARER + text) is None


def test_what_is_remembered_is_bounded_by_the_tokens():
    """A flood of guesses must not fill the memory of whoever refuses them."""
    tokens = Tokens(TOKENS)
    for n in range(1_000):
        tokens.of(f"Bearer guess{n}")
        tokens.of(f"bearer {SHOP}")
        tokens.of(f"bearer{' ' * n}{SHOP}")
        tokens.of(f"Bearer {SHOP}")
    assert list(tokens._verified) == [f"Bearer {SHOP}"]


def test_no_two_tokens_are_the_same_and_the_file_holds_none():
    """What is in the file, and in backups of it, opens nothing."""
    assert len({new_token() for _ in range(100)}) == 100
    assert len(SHOP) >= len("nextclick_") + 43
    content = encode_tokens(TOKENS).decode()
    assert SHOP not in content
    assert SHOP.removeprefix("nextclick_") not in content


def test_a_file_holds_what_was_written():
    """A line each, so that a difference between two files can be read."""
    content = encode_tokens(TOKENS)
    assert decode_tokens(content) == TOKENS
    assert len(content.splitlines()) == len(TOKENS) + 2
    assert decode_tokens(encode_tokens([])) == []


def changed(**fields):
    entry = TOKENS[0]._asdict() | {"scopes": ["events"]} | fields
    return json.dumps({"tokens": [entry]}).encode()


FAULTS = {
    b"": "is no JSON",
    b'{"tokens": [': "is no JSON",
    b"\xff": "is no JSON",
    b"[" * 100_000: "is no JSON",
    b"[]": "does not hold",
    b'{"tokens": {}}': "does not hold",
    b'{"tokens": [], "more": 1}': "does not hold",
    b'{"tokens": [1]}': "token 1 does not have name",
    changed(more=1): "token 1 does not have name",
    changed(name=""): "token 1 has no name",
    changed(name="a\nb"): "token 1 has no name",
    changed(name=3): "token 1 has no name",
    changed(sha256="00"): "token 1 has no SHA-256",
    changed(scopes=[]): "token 1 has no scopes of recommend, events",
    changed(scopes=["all"]): "token 1 has no scopes of recommend, events",
    changed(scopes="events"): "token 1 has no scopes of recommend, events",
    changed(scopes=[["events"]]): "token 1 has no scopes of recommend, events",
    encode_tokens([TOKENS[0], TOKENS[0]._replace(sha256="0" * 64)]): "two tokens with the same nam",
    encode_tokens([TOKENS[0], TOKENS[0]._replace(name="x")]): "two tokens with the same sha256",
    encode_tokens(
        [Token(f"t{n}", frozenset(Scope), f"{n:064x}", "") for n in range(MAX_TOKENS + 1)]
    ): "more than 1,000 tokens",
}


@pytest.mark.parametrize("content", FAULTS, ids=lambda content: content[:20])
def test_a_file_of_anything_else_is_refused_with_a_sentence(content):
    """It is told in the log, which must not quote it."""
    with pytest.raises(ValueError, match=FAULTS[content]) as refused:
        decode_tokens(content)
    assert TOKENS[0].sha256 not in str(refused.value)
