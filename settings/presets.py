"""What is recommended, and what follows from it: defaults that differ between shops.

Each is a starting point with its reason, not a mode: everything else learns from the clicks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """Defaults of one kind of site.

    Parameters
    ----------
    name
        As in NEXTCLICK_PRESET.
    decay_long, decay_short
        After so many clicks, one counts for 1/e: in an item's popularity, and in what trends.
    repeats
        Whether an answer may contain what the visitor has already turned to in this session; where
        not, each request is answered as with ``exclude_seen``.
    reason
        Why.
    """

    name: str
    decay_long: float
    decay_short: float
    repeats: bool
    reason: str


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "shop",
            20_000,
            2_000,
            repeats=True,
            reason="Visitors compare: they go back to what they have looked at, and what sells "
            "changes within days.",
        ),
        Preset(
            "films",
            20_000,
            2_000,
            repeats=False,
            reason="A film is watched once. What is popular stays so, for as long as is measured.",
        ),
        Preset(
            "music",
            10_000,
            1_000,
            repeats=True,
            reason="A song is played again, also within a session, and what is popular changes "
            "faster than in a shop.",
        ),
        Preset(
            "news",
            5_000,
            500,
            repeats=False,
            reason="An article is read once, and old after hours: the last clicks count.",
        ),
    )
}
"""By name; the first one is the default, which is what there was before there were any."""

SHOP = PRESETS["shop"]
