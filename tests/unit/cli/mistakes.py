"""What tests of mistakes share: made files, and what is asked of each sentence."""

import gzip
import re

WIDTH = 80
CURSOR = re.compile(r"\x1b\[\?25[lh]")
"""Hides the cursor while something is done, and shows it again."""

CLICKS = "".join(f"s{n // 3},a{n % 5},{1_600_000_000 + 60 * n}\n" for n in range(30))
FILES = {
    "clicks.csv": b"session_id,item_id,time\n" + CLICKS.encode(),
    "noclock.csv": b"session_id,items\ns1,a b c\ns2,a b\n",
    "one.csv": b"session_id,item_id,time\ns1,a,1600000000\ns1,b,1600000001\n",
    "empty.csv": b"",
    "binary.bin": bytes(range(256)) * 10,
    "torn.csv.gz": gzip.compress(CLICKS.encode())[:-20],
    "sizes.csv": b"colour;size\nred;7\nblue;9\n",
    "short.txt": b"SessionId\tItemId\tCatId\tTime\n1\ta\n",
    "folder/file": b"x",
    "torn/stack.json": b'{"ports": {',
    "later/stack.json": b'{"version": 7, "parts": []}',
    "later2/stack.json": b'{"ports": {}, "children": [{"name": "x", "host": "other"}]}',
}


def check(said, sentence):
    """Check an exit code and what was said: it fits, and is followed by what to do."""
    code, text = said[0], CURSOR.sub("", said[1])
    assert code in (1, 2)
    assert "Traceback" not in text
    too_long = [line for line in text.splitlines() if len(line) > WIDTH and " " in line]
    assert too_long == []  # a path is never broken, so that it can be copied
    joined = " ".join(text.split())
    assert "error: " in joined
    for part in sentence.split(" ... "):
        assert part in joined
