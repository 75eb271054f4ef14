"""Reads files of clicks as people have them; whatever cannot be read is counted with its reason.

In the order of the work: `content` (bytes to text), `delimited`, `json_lines` and `parquet` (a
table each), `columns` (which column is what), `times`, `cells` and `lists`, `reader` (all of them),
`grouping` (clicks to sessions), `report` (what was read, and what was not).
"""
