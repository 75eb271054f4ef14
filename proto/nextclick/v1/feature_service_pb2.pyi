from nextclick.v1 import recommendation_service_pb2 as _recommendation_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FeatureEntity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEATURE_ENTITY_UNSPECIFIED: _ClassVar[FeatureEntity]
    FEATURE_ENTITY_SESSION: _ClassVar[FeatureEntity]
    FEATURE_ENTITY_ITEM: _ClassVar[FeatureEntity]
    FEATURE_ENTITY_USER: _ClassVar[FeatureEntity]
    FEATURE_ENTITY_CANDIDATE: _ClassVar[FeatureEntity]
FEATURE_ENTITY_UNSPECIFIED: FeatureEntity
FEATURE_ENTITY_SESSION: FeatureEntity
FEATURE_ENTITY_ITEM: FeatureEntity
FEATURE_ENTITY_USER: FeatureEntity
FEATURE_ENTITY_CANDIDATE: FeatureEntity

class Feature(_message.Message):
    __slots__ = ("name", "entity", "meaning", "unit", "origin", "topics", "state", "freshness", "delay_ms", "version", "in_ranker", "part")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IN_RANKER_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    name: str
    entity: FeatureEntity
    meaning: str
    unit: str
    origin: str
    topics: _containers.RepeatedScalarFieldContainer[str]
    state: str
    freshness: str
    delay_ms: int
    version: int
    in_ranker: bool
    part: str
    def __init__(self, name: _Optional[str] = ..., entity: _Optional[_Union[FeatureEntity, str]] = ..., meaning: _Optional[str] = ..., unit: _Optional[str] = ..., origin: _Optional[str] = ..., topics: _Optional[_Iterable[str]] = ..., state: _Optional[str] = ..., freshness: _Optional[str] = ..., delay_ms: _Optional[int] = ..., version: _Optional[int] = ..., in_ranker: bool = ..., part: _Optional[str] = ...) -> None: ...

class ListFeaturesRequest(_message.Message):
    __slots__ = ("entity",)
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    entity: FeatureEntity
    def __init__(self, entity: _Optional[_Union[FeatureEntity, str]] = ...) -> None: ...

class ListFeaturesResponse(_message.Message):
    __slots__ = ("features", "feature_schema")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedCompositeFieldContainer[Feature]
    feature_schema: str
    def __init__(self, features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., feature_schema: _Optional[str] = ...) -> None: ...

class GetFeaturesRequest(_message.Message):
    __slots__ = ("session_id", "user_id", "item_ids", "names")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    user_id: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, session_id: _Optional[str] = ..., user_id: _Optional[str] = ..., item_ids: _Optional[_Iterable[str]] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class GetFeaturesResponse(_message.Message):
    __slots__ = ("vectors", "model_version", "timestamp_ms", "feature_schema", "degraded")
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    vectors: _containers.RepeatedCompositeFieldContainer[FeatureVector]
    model_version: int
    timestamp_ms: int
    feature_schema: str
    degraded: _containers.RepeatedScalarFieldContainer[_recommendation_service_pb2.DegradedReason]
    def __init__(self, vectors: _Optional[_Iterable[_Union[FeatureVector, _Mapping]]] = ..., model_version: _Optional[int] = ..., timestamp_ms: _Optional[int] = ..., feature_schema: _Optional[str] = ..., degraded: _Optional[_Iterable[_Union[_recommendation_service_pb2.DegradedReason, str]]] = ...) -> None: ...

class FeatureVector(_message.Message):
    __slots__ = ("entity", "id", "known", "values")
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    entity: FeatureEntity
    id: str
    known: bool
    values: _containers.RepeatedCompositeFieldContainer[FeatureValue]
    def __init__(self, entity: _Optional[_Union[FeatureEntity, str]] = ..., id: _Optional[str] = ..., known: bool = ..., values: _Optional[_Iterable[_Union[FeatureValue, _Mapping]]] = ...) -> None: ...

class FeatureValue(_message.Message):
    __slots__ = ("name", "number", "texts")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    number: float
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., number: _Optional[float] = ..., texts: _Optional[_Iterable[str]] = ...) -> None: ...
