"""Reads files of clicks as people have them; whatever cannot be read is counted with its reason.

In the order of the work: `content` (bytes to text), `delimited`, `json_lines` and `parquet` (a
table each), `columns` (which column is what), `times`, `items`, `reader` (all of them, for several
files), `report` (what was read, and what was not).
"""
