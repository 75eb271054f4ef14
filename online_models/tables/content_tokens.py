"""Content of an item as token numbers: its categories, attributes and the words of its title.

Tokens are hashed into a bounded table. Two tokens with the same number share a vector, which is
harmless while collisions are rare (Weinberger et al., "Feature hashing", ICML 2009).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from online_models.memory.table import Kept, Table

TOKENS, ITEM_TOKENS = 1 << 16, 16
"""Rows that all tokens are hashed into; most tokens kept per item."""

TABLES = (Table("item_tokens", np.int32, ("rows", ITEM_TOKENS), Kept.ROWS),)

_WORD = re.compile(r"\w{2,}")


def token_number(token: str) -> int:
    """Return the number of a token, 1..TOKENS - 1."""
    return 1 + zlib.crc32(token.encode()) % (TOKENS - 1)


def item_tokens(
    categories: Sequence[str] = (), attributes: Mapping[str, str] | None = None, title: str = ""
) -> list[int]:
    """Return the numbers of an item's first `ITEM_TOKENS` different tokens.

    Categories come first, then attributes by name, then the words of the title in their order.
    """
    tokens = [f"c:{category}" for category in categories]
    tokens += [f"a:{name}={value}" for name, value in sorted((attributes or {}).items())]
    tokens += [f"t:{word}" for word in _WORD.findall(title.lower())]
    return list(dict.fromkeys(map(token_number, tokens)))[:ITEM_TOKENS]
