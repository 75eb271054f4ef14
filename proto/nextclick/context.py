"""Where a visitor is: the context of events and requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nextclick.checks import Faults, check_text, json_type
from nextclick.errors import FieldFault
from nextclick.limits import MAX_CONTEXT_BYTES, MAX_REFERRER_BYTES

SHARED = 4_096
"""Contexts of which equal ones are one object."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where a visitor is; see `Context` in ``session.proto`` for the ranges.

    Attributes
    ----------
    device
        The device, such as ``"mobile"``.
    country
        The country, such as ``"DE"``.
    channel
        The channel, such as ``"app"`` or ``"newsletter"``.
    referrer
        Where the visitor came from, such as ``"search"``.

    Examples
    --------
    >>> Context(device="mobile", country="DE").over(Context(country="AT", channel="app"))
    Context(device='mobile', country='DE', channel='app', referrer='')
    """

    device: str = ""
    country: str = ""
    channel: str = ""
    referrer: str = ""

    def over(self, other: Context) -> Context:
        """Return this context, with what it does not say taken from another one."""
        if self in (NOWHERE, other):
            return other
        return shared(
            self.device or other.device,
            self.country or other.country,
            self.channel or other.channel,
            self.referrer or other.referrer,
        )

    @property
    def said(self) -> dict[str, str]:
        """What is said of it, by name."""
        return {name: text for name in NAMES if (text := getattr(self, name))}

    @property
    def counted(self) -> tuple[str, ...]:
        """The parts by which clicks are counted, device, country and channel; none if none is said.

        Referrers are too many.
        """
        if not (self.device or self.country or self.channel):
            return ()
        return self.device, self.country, self.channel


NAMES = ("device", "country", "channel", "referrer")
"""The fields of a context, in their order."""

MOST_BYTES = dict.fromkeys(NAMES, MAX_CONTEXT_BYTES) | {"referrer": MAX_REFERRER_BYTES}
"""How long each of them may be, in bytes of UTF-8."""

NOWHERE = Context()
"""The context of which nothing is said."""


@lru_cache(maxsize=SHARED)
def shared(device: str, country: str, channel: str, referrer: str) -> Context:
    """Return a context that is one object with equal ones, as far as they are recent.

    Most sessions of a shop share one of a few contexts, and need not have it each.
    """
    if not (device or country or channel or referrer):
        return NOWHERE
    return Context(device, country, channel, referrer)


def context_from_json(value: Any) -> Any:
    """Return the context of a record's field; as it is, for `check_context`, if it is none.

    Fields that are null count as left out; unknown ones are ignored.
    """
    if value is None:
        return NOWHERE
    if not isinstance(value, Mapping):
        return value
    texts = (value.get(name) for name in NAMES)
    return Context(*("" if text is None else text for text in texts))


def check_context(faults: Faults, value: Any, name: str = "context") -> None:
    """Check a context, whatever it is."""
    if not isinstance(value, Context):
        faults.append(FieldFault(name, f"must be an object of strings, not {json_type(value)}"))
        return
    for field, most in MOST_BYTES.items():
        text = getattr(value, field)
        if text != "":
            check_text(faults, f"{name}.{field}", text, 1, most)
