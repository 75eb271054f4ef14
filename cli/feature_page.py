"""The tables of docs/features.md, written from the declarations: ``python -m cli.feature_page``."""

from __future__ import annotations

from pathlib import Path

from online_models.ranking.features.declared import DECLARED, features_of
from online_models.ranking.features.feature import Entity, Feature, Origin

PAGE = Path(__file__).resolve().parents[1] / "docs" / "features.md"
BEGIN, END = "<!-- written by `python -m cli.feature_page` -->", "<!-- until here -->"

HEADINGS = {
    Entity.SESSION: "Of a session",
    Entity.ITEM: "Of an item",
    Entity.USER: "Of a user",
    Entity.CANDIDATE: "Of a candidate",
}


def tables() -> str:
    """Return the tables of all features and of what they come from."""
    text = (
        "## Where they come from\n\n"
        "| from | topics | what is read | when it changes | at the latest after |\n"
        "| --- | --- | --- | --- | --- |\n"
    )
    for origin in _origins():
        topics = ", ".join(f"`{topic}`" for topic in origin.topics)
        delay = f"{origin.delay_ms:,} ms" if origin.delay_ms else "at once"
        cells = (origin.name, topics, origin.state, origin.freshness, delay)
        text += f"| {' | '.join(cells)} |\n"
    in_ranker = {feature.name for feature in features_of(Entity.CANDIDATE)}
    for entity, heading in HEADINGS.items():
        text += (
            f"\n## {heading}\n\n"
            "| feature | meaning | unit | from | version | read by the ranker |\n"
            "| --- | --- | --- | --- | --- | --- |\n"
        )
        for feature in (f for f in DECLARED if f.entity is entity):
            text += _row(feature, feature.name in in_ranker)
    return text


def written(page: str) -> str:
    """Return a page with its tables as they are declared now.

    Raises
    ------
    ValueError
        If it has no place for them.
    """
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no lines {BEGIN!r} and {END!r}")
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{tail}"


def _origins() -> list[Origin]:
    origins = dict.fromkeys(feature.origin for feature in DECLARED)
    return [origin for origin in origins if origin is not None]


def _row(feature: Feature, in_ranker: bool) -> str:
    assert feature.origin is not None
    cells = (
        f"`{feature.name}`",
        feature.meaning,
        feature.unit,
        feature.origin.name,
        str(feature.version),
        "yes" if in_ranker else "",
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
