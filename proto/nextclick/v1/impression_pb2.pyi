from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Impression(_message.Message):
    __slots__ = ("recommendation_id", "session_id", "session_version", "appended_item_ids", "item_ids", "model_version", "timestamp_ms", "model", "scores", "known_items", "diversity", "popularity", "shadows", "policy", "propensities", "session_incarnation", "pool_item_ids", "pool_scores", "inclusion_probability")
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_VERSION_FIELD_NUMBER: _ClassVar[int]
    APPENDED_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    KNOWN_ITEMS_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    POPULARITY_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PROPENSITIES_FIELD_NUMBER: _ClassVar[int]
    SESSION_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    POOL_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    POOL_SCORES_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    recommendation_id: str
    session_id: str
    session_version: int
    appended_item_ids: _containers.RepeatedScalarFieldContainer[str]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    model_version: int
    timestamp_ms: int
    model: str
    scores: _containers.RepeatedScalarFieldContainer[float]
    known_items: int
    diversity: float
    popularity: float
    shadows: _containers.RepeatedCompositeFieldContainer[ShadowAnswer]
    policy: str
    propensities: _containers.RepeatedScalarFieldContainer[float]
    session_incarnation: int
    pool_item_ids: _containers.RepeatedScalarFieldContainer[str]
    pool_scores: _containers.RepeatedScalarFieldContainer[float]
    inclusion_probability: float
    def __init__(self, recommendation_id: _Optional[str] = ..., session_id: _Optional[str] = ..., session_version: _Optional[int] = ..., appended_item_ids: _Optional[_Iterable[str]] = ..., item_ids: _Optional[_Iterable[str]] = ..., model_version: _Optional[int] = ..., timestamp_ms: _Optional[int] = ..., model: _Optional[str] = ..., scores: _Optional[_Iterable[float]] = ..., known_items: _Optional[int] = ..., diversity: _Optional[float] = ..., popularity: _Optional[float] = ..., shadows: _Optional[_Iterable[_Union[ShadowAnswer, _Mapping]]] = ..., policy: _Optional[str] = ..., propensities: _Optional[_Iterable[float]] = ..., session_incarnation: _Optional[int] = ..., pool_item_ids: _Optional[_Iterable[str]] = ..., pool_scores: _Optional[_Iterable[float]] = ..., inclusion_probability: _Optional[float] = ...) -> None: ...

class ShadowAnswer(_message.Message):
    __slots__ = ("model", "item_ids", "scores", "diversity", "popularity")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    POPULARITY_FIELD_NUMBER: _ClassVar[int]
    model: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    scores: _containers.RepeatedScalarFieldContainer[float]
    diversity: float
    popularity: float
    def __init__(self, model: _Optional[str] = ..., item_ids: _Optional[_Iterable[str]] = ..., scores: _Optional[_Iterable[float]] = ..., diversity: _Optional[float] = ..., popularity: _Optional[float] = ...) -> None: ...
