"""The table of docs/operating.md that explains each figure and names the test of it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (.*) \| .* \| `(tests/\S+\.py): (test_\w+)` \|$", re.MULTILINE)


def figures():
    """Return each row of the table: the names of its figures, and file and name of the test."""
    text = (ROOT / "docs" / "operating.md").read_text()
    table = text.partition("| figure | what it means | the test |")[2].partition("\n\n")[0]
    rows = ROW.findall(table)
    assert len(rows) == len(table.splitlines()) - 2, "a row that is not read"
    return [(re.findall(r"`(\w+)`", names), path, test) for names, path, test in rows]


def explained():
    """Return the names of all figures of the table."""
    return {name for names, _, _ in figures() for name in names}
