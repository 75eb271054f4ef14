"""The script by which Redis writes what is newer than what it holds, and notes how far that was.

For one server, a batch and the positions after it are one call, of which all is done or nothing. In
a cluster a call has one key only, and those that note positions come last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

LOST = -1
"""The reply of a call that did nothing, since the mark before is not in place."""

# Returns the number of keys that are not ours, and the last such key; for `LOST`, nothing was done.
# KEYS: those of entries, those to erase, those of users to erase; where positions are noted, the
# store's own.
# ARGV: expiry, number of entries, to erase, of users to erase, mark before, mark now; incarnation,
# time of arrival (0: none), version and record of each entry; the record that each user to erase
# must have; partition and offset of each position.
TEXT = """
local entries, erased, users = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local own = KEYS[entries + erased + users + 1]
if own then
  local mark = redis.call('HGET', own, 'mark')
  if mark ~= ARGV[5] and mark ~= ARGV[6] then return {-1, ''} end
end
local foreign, first = 0, ''
local function held(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return -1, -1, -1 end
  local h = kind == 'hash'
    and redis.call('HMGET', key, 'incarnation', 'appended', 'version', 'record')
  local version = h and h[4] and tonumber(h[3] or '')
  if version then return tonumber(h[1] or 0), tonumber(h[2] or h[1] or 0), version end
  foreign = foreign + 1
  first = key
end
for i = 1, entries do
  local key, v = KEYS[i], 6 + 4 * (i - 1)
  local life, appended, version = held(key)
  local newer = false
  if life == tonumber(ARGV[v + 1]) then
    newer = version <= tonumber(ARGV[v + 3])
  elseif life then
    newer = appended < tonumber(ARGV[v + 2])
  end
  if newer then
    redis.call('HSET', key, 'incarnation', ARGV[v + 1], 'appended', ARGV[v + 2],
      'version', ARGV[v + 3], 'record', ARGV[v + 4])
    redis.call('EXPIRE', key, ARGV[1])
  end
end
for i = entries + 1, entries + erased do
  if held(KEYS[i]) then redis.call('DEL', KEYS[i]) end
end
local at = 6 + 4 * entries
for i = 1, users do
  local key = KEYS[entries + erased + i]
  if held(key) and redis.call('HGET', key, 'record') == ARGV[at + i] then
    redis.call('DEL', key)
  end
end
if own then redis.call('HSET', own, 'mark', ARGV[6], unpack(ARGV, at + users + 1)) end
return {foreign, first}
"""

SHA = hashlib.sha1(TEXT.encode()).hexdigest()
"""By which Redis knows the script once it has run it."""

Entry = tuple[int, int, int, bytes]
"""Incarnation, time of arrival, version and record of a key."""


class Noted(NamedTuple):
    """What a master notes in a hash of the store's own, if it has the mark before."""

    key: str
    mark_before: str
    mark: str
    positions: Mapping[int, int]


class ScriptCall(NamedTuple):
    """The keys of the script, and its other arguments."""

    keys: list[str]
    args: list[Any]

    @classmethod
    def of(
        cls,
        expiry_s: int,
        entries: Mapping[str, Entry],
        erased: Sequence[str] = (),
        users: Mapping[str, bytes] | None = None,
        noted: Noted | None = None,
    ) -> ScriptCall:
        """Return the call that writes entries, erases keys and users, and notes positions."""
        users = users or {}
        own = [noted.key] if noted else []
        marks = [noted.mark_before, noted.mark] if noted else ["", ""]
        values = [part for entry in entries.values() for part in entry]
        places = [part for place in noted.positions.items() for part in place] if noted else []
        counts = [expiry_s, len(entries), len(erased), len(users)]
        return cls(
            [*entries, *erased, *users, *own],
            [*counts, *marks, *values, *users.values(), *places],
        )
