"""The registry of features: complete, unique, and what docs/features.md says."""

import dataclasses
import hashlib
from pathlib import Path

import pytest

from cli.feature_page import written
from nextclick.topics import TOPICS
from online_models.ranking.features import registry
from online_models.ranking.features.declared import BY_NAME, DECLARED, GROUPS, features_of
from online_models.ranking.features.feature import Entity, Feature, Origin
from online_models.ranking.features.origins import COUNTS
from online_models.sources.registry import COLUMN

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("feature", DECLARED, ids=lambda feature: feature.name)
def test_every_feature_is_declared_completely(feature):
    """A stranger finds in one place what a number means, in which unit, and how old it may be."""
    assert list(feature.lacking()) == []
    assert set(feature.origin.topics) <= set(TOPICS) | {"profiles"}
    assert not feature.column or feature.column in COLUMN


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ({"unit": ""}, "has no unit"),
        ({"meaning": " "}, "has no meaning"),
        ({"part": ""}, "has no part"),
        ({"origin": None}, "has no origin; see online_models/ranking/features/origins.py"),
        ({"version": 0}, "has the version 0; versions begin with 1"),
        (
            {"origin": Origin("clicks", (), "", "always", 1)},
            "has an origin without a name, a state or a freshness",
        ),
    ],
)
def test_what_a_declaration_lacks_is_said(change, lacks):
    """Whoever adds a feature must learn from the failure what to write."""
    whole = Feature("x", "part", "what it says", "clicks", COUNTS)
    assert list(whole.lacking()) == []
    assert list(dataclasses.replace(whole, **change).lacking()) == [lacks]


def test_names_are_unique_and_the_rankers_come_first():
    """Two features of a name would be one in a table, a file and an answer."""
    assert len(BY_NAME) == len(DECLARED)
    assert tuple(BY_NAME)[: len(registry.NAMES)] == registry.NAMES
    assert features_of(Entity.CANDIDATE) == registry.FEATURES


@pytest.mark.parametrize("entity", GROUPS)
def test_groups_describe_the_entity_that_they_are_listed_under(entity):
    """A feature of items in the list of sessions would be computed from a session."""
    listed = [feature for group in GROUPS[entity] for feature in group.features]
    assert {feature.entity for feature in listed} == {entity}
    assert set(listed) <= set(features_of(entity))
    assert all(f.entity in (Entity.SESSION, Entity.CANDIDATE) for f in registry.FEATURES)


def test_the_schema_follows_from_names_and_versions():
    """Weights that were learned with another version of a feature must not be used."""
    names = ",".join(f.name + (f"@{f.version}" if f.version > 1 else "") for f in registry.FEATURES)
    text = f"{registry.TRANSFORMS},{names}".encode()
    assert hashlib.blake2b(text, digest_size=4).hexdigest() == registry.SCHEMA


def test_the_page_of_features_is_what_is_declared():
    """Documentation that somebody keeps by hand is wrong after the next change."""
    page = (DOCS / "features.md").read_text()
    assert page == written(page), "run `python -m cli.feature_page`"
    with pytest.raises(ValueError, match="has no lines"):
        written("# Features")
