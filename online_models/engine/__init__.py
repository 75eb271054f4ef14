"""The models as one object, for servers and evaluations."""

from online_models.engine.engine import Engine, Example
from online_models.engine.similar import By
from online_models.engine.snapshot import SnapshotError
from online_models.ranking.request import Filter, Past, Ranked

__all__ = ["By", "Engine", "Example", "Filter", "Past", "Ranked", "SnapshotError"]
