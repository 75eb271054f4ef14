"""Names by which columns are known, and the public files that have no header."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ROLES = ("session", "user", "item", "time", "type")

KNOWN_NAMES: dict[str, tuple[str, ...]] = {
    "session": (
        "sessionid", "session", "sessionkey", "sessid", "sid", "usersession", "sessionuuid",
        "visitid", "visit", "visitnumber", "basketid", "playlistid",
    ),
    "user": (
        "userid", "user", "uid", "visitorid", "visitor", "fullvisitorid", "customerid", "customer",
        "clientid", "cookieid", "deviceid", "memberid", "accountid", "reviewerid", "userpseudoid",
    ),
    "item": (
        "itemid", "items", "itemids", "item", "itemidlist", "itemlist", "itemseq", "iid", "aid",
        "productid", "products", "productids", "product", "sku", "productsku", "articleid",
        "articles", "articleids", "article", "asin", "parentasin", "movieid", "songid", "song",
        "trackid", "tracks", "trackids", "track", "videoid", "newsid", "contentid", "hotelid",
        "bookid", "isbn", "poiid", "venueid", "listingid", "gameid", "appid", "businessid",
    ),
    "time": (
        "timestampms", "timestamp", "time", "times", "timesms", "ts", "eventtimestamp",
        "eventtime", "timems", "datetime", "eventdatetime", "timestamps", "clicktime", "visittime",
        "createdat", "unixtime", "unixreviewtime", "epoch", "timeframe", "date", "eventdate",
    ),
    "type": (
        "type", "eventtype", "event", "eventname", "action", "actiontype", "behavior",
        "behaviour", "behaviortype",
    ),
}  # fmt: skip
"""As `normal` has them; of several columns, the name that stands first here counts."""

DATES, TIMES_OF_DAY = ("date", "eventdate"), ("time", "timeframe")
"""A file that has one of each may have its clock in both."""

TIMEFRAME = "timeframe"
"""Diginetica's column of milliseconds, which count from midnight where there is a date."""

TIME_LISTS = ("times", "timesms", "timestamps")
"""Columns of a time per item, where the items are lists."""

PLURAL = re.compile(r"(s|seq|list)$")
"""The normal name of a column whose cells hold several items."""


@dataclass(frozen=True)
class Form:
    """A public file without a header: its name, a pattern per field, and the fields' roles."""

    name: str
    fields: tuple[str, ...]
    roles: dict[str, int]

    def fits(self, rows: Sequence[Sequence[str]]) -> bool:
        """Return whether all these rows are of this form."""
        return bool(rows) and all(
            len(row) == len(self.fields)
            and all(re.fullmatch(p, v) for p, v in zip(self.fields, row, strict=True))
            for row in rows
        )


_NUMBER, _ISO = r"\d+", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"

FORMS = (
    Form(
        "MovieLens ratings",
        (_NUMBER, _NUMBER, r"[0-5](\.[05])?", r"\d{9,10}"),
        {"user": 0, "item": 1, "time": 3},
    ),
    Form(
        "Yoochoose clicks",
        (_NUMBER, _ISO, _NUMBER, r"\w+"),
        {"session": 0, "time": 1, "item": 2},
    ),
    Form(
        "Last.fm-1K plays",
        (r"user_\d+", _ISO, ".*", ".*", ".*", ".*"),
        {"user": 0, "time": 1, "item": 4},
    ),
)


def normal(name: str) -> str:
    """Return a column's name without case, punctuation and RecBole's type.

    >>> normal("Item-ID"), normal("item_id:token"), normal(" visitorid ")
    ('itemid', 'itemid', 'visitorid')
    """
    return re.sub(r"[\W_]", "", name.split(":", maxsplit=1)[0].lower())


@dataclass(frozen=True)
class Vocabulary:
    """What the columns of a kind of file are called.

    Attributes
    ----------
    names
        By role, as `normal` has them.
    forms
        Files of the kind that have no header.
    """

    names: Mapping[str, Sequence[str]]
    forms: Sequence[Form] = ()

    def known(self, names: Sequence[str]) -> int:
        """Return how many of the roles have a column that is known by its name."""
        normals = {normal(name) for name in names}
        return sum(not normals.isdisjoint(known) for known in self.names.values())

    def form_of(self, rows: Sequence[Sequence[str]]) -> Form | None:
        """Return the form that all these rows are of; None if there is none."""
        return next((form for form in self.forms if form.fits(rows)), None)


OF_CLICKS = Vocabulary(KNOWN_NAMES, FORMS)
