from nextclick.v1 import session_pb2 as _session_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DegradedReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEGRADED_REASON_UNSPECIFIED: _ClassVar[DegradedReason]
    DEGRADED_REASON_REDIS_UNAVAILABLE: _ClassVar[DegradedReason]
    DEGRADED_REASON_KAFKA_UNAVAILABLE: _ClassVar[DegradedReason]
    DEGRADED_REASON_CATCHING_UP: _ClassVar[DegradedReason]
    DEGRADED_REASON_RANKER_MISSING: _ClassVar[DegradedReason]

class AnswerSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANSWER_SOURCE_UNSPECIFIED: _ClassVar[AnswerSource]
    ANSWER_SOURCE_SESSION: _ClassVar[AnswerSource]
    ANSWER_SOURCE_POPULAR: _ClassVar[AnswerSource]
    ANSWER_SOURCE_PROFILE: _ClassVar[AnswerSource]

class Similarity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIMILARITY_UNSPECIFIED: _ClassVar[Similarity]
    SIMILARITY_BEHAVIOUR: _ClassVar[Similarity]
    SIMILARITY_CONTENT: _ClassVar[Similarity]
    SIMILARITY_MIX: _ClassVar[Similarity]
DEGRADED_REASON_UNSPECIFIED: DegradedReason
DEGRADED_REASON_REDIS_UNAVAILABLE: DegradedReason
DEGRADED_REASON_KAFKA_UNAVAILABLE: DegradedReason
DEGRADED_REASON_CATCHING_UP: DegradedReason
DEGRADED_REASON_RANKER_MISSING: DegradedReason
ANSWER_SOURCE_UNSPECIFIED: AnswerSource
ANSWER_SOURCE_SESSION: AnswerSource
ANSWER_SOURCE_POPULAR: AnswerSource
ANSWER_SOURCE_PROFILE: AnswerSource
SIMILARITY_UNSPECIFIED: Similarity
SIMILARITY_BEHAVIOUR: Similarity
SIMILARITY_CONTENT: Similarity
SIMILARITY_MIX: Similarity

class Condition(_message.Message):
    __slots__ = ("all", "any", "category", "kind", "attribute", "number", "segment", "user", "context")
    ALL_FIELD_NUMBER: _ClassVar[int]
    ANY_FIELD_NUMBER: _ClassVar[int]
    NOT_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    all: Conditions
    any: Conditions
    category: str
    kind: str
    attribute: ValueCondition
    number: RangeCondition
    segment: str
    user: ValueCondition
    context: ValueCondition
    def __init__(self, all: _Optional[_Union[Conditions, _Mapping]] = ..., any: _Optional[_Union[Conditions, _Mapping]] = ..., category: _Optional[str] = ..., kind: _Optional[str] = ..., attribute: _Optional[_Union[ValueCondition, _Mapping]] = ..., number: _Optional[_Union[RangeCondition, _Mapping]] = ..., segment: _Optional[str] = ..., user: _Optional[_Union[ValueCondition, _Mapping]] = ..., context: _Optional[_Union[ValueCondition, _Mapping]] = ..., **kwargs) -> None: ...

class Conditions(_message.Message):
    __slots__ = ("conditions",)
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    def __init__(self, conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ...) -> None: ...

class ValueCondition(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class RangeCondition(_message.Message):
    __slots__ = ("name", "at_least", "at_most")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    name: str
    at_least: float
    at_most: float
    def __init__(self, name: _Optional[str] = ..., at_least: _Optional[float] = ..., at_most: _Optional[float] = ...) -> None: ...

class ItemFilter(_message.Message):
    __slots__ = ("categories", "excluded_item_ids", "exclude_seen", "exclude_purchased", "include_unavailable", "kinds", "condition", "purchased_within_days")
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_SEEN_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_PURCHASED_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    PURCHASED_WITHIN_DAYS_FIELD_NUMBER: _ClassVar[int]
    categories: _containers.RepeatedScalarFieldContainer[str]
    excluded_item_ids: _containers.RepeatedScalarFieldContainer[str]
    exclude_seen: bool
    exclude_purchased: bool
    include_unavailable: bool
    kinds: _containers.RepeatedScalarFieldContainer[str]
    condition: Condition
    purchased_within_days: int
    def __init__(self, categories: _Optional[_Iterable[str]] = ..., excluded_item_ids: _Optional[_Iterable[str]] = ..., exclude_seen: bool = ..., exclude_purchased: bool = ..., include_unavailable: bool = ..., kinds: _Optional[_Iterable[str]] = ..., condition: _Optional[_Union[Condition, _Mapping]] = ..., purchased_within_days: _Optional[int] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("source", "share", "because_item_ids")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    source: str
    share: float
    because_item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, source: _Optional[str] = ..., share: _Optional[float] = ..., because_item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ScoredItem(_message.Message):
    __slots__ = ("item_id", "score", "reasons", "next_click_probability")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CLICK_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    score: float
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    next_click_probability: float
    def __init__(self, item_id: _Optional[str] = ..., score: _Optional[float] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., next_click_probability: _Optional[float] = ...) -> None: ...

class StageTiming(_message.Message):
    __slots__ = ("stage", "duration_us")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DURATION_US_FIELD_NUMBER: _ClassVar[int]
    stage: str
    duration_us: int
    def __init__(self, stage: _Optional[str] = ..., duration_us: _Optional[int] = ...) -> None: ...

class RecommendRequest(_message.Message):
    __slots__ = ("session_id", "user_id", "page_size", "session_items", "filter", "explain", "context")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ITEMS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    user_id: str
    page_size: int
    session_items: _containers.RepeatedScalarFieldContainer[str]
    filter: ItemFilter
    explain: bool
    context: _session_pb2.Context
    def __init__(self, session_id: _Optional[str] = ..., user_id: _Optional[str] = ..., page_size: _Optional[int] = ..., session_items: _Optional[_Iterable[str]] = ..., filter: _Optional[_Union[ItemFilter, _Mapping]] = ..., explain: bool = ..., context: _Optional[_Union[_session_pb2.Context, _Mapping]] = ...) -> None: ...

class RecommendResponse(_message.Message):
    __slots__ = ("recommendation_id", "items", "session_version", "model_version", "model_lag_ms", "degraded", "source", "timings")
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SESSION_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_LAG_MS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    recommendation_id: str
    items: _containers.RepeatedCompositeFieldContainer[ScoredItem]
    session_version: int
    model_version: int
    model_lag_ms: int
    degraded: _containers.RepeatedScalarFieldContainer[DegradedReason]
    source: AnswerSource
    timings: _containers.RepeatedCompositeFieldContainer[StageTiming]
    def __init__(self, recommendation_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[ScoredItem, _Mapping]]] = ..., session_version: _Optional[int] = ..., model_version: _Optional[int] = ..., model_lag_ms: _Optional[int] = ..., degraded: _Optional[_Iterable[_Union[DegradedReason, str]]] = ..., source: _Optional[_Union[AnswerSource, str]] = ..., timings: _Optional[_Iterable[_Union[StageTiming, _Mapping]]] = ...) -> None: ...

class BatchRecommendRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[RecommendRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[RecommendRequest, _Mapping]]] = ...) -> None: ...

class BatchRecommendResponse(_message.Message):
    __slots__ = ("responses",)
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    responses: _containers.RepeatedCompositeFieldContainer[RecommendResponse]
    def __init__(self, responses: _Optional[_Iterable[_Union[RecommendResponse, _Mapping]]] = ...) -> None: ...

class StreamRecommendRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: RecommendRequest
    def __init__(self, request: _Optional[_Union[RecommendRequest, _Mapping]] = ...) -> None: ...

class StreamRecommendResponse(_message.Message):
    __slots__ = ("response",)
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    response: RecommendResponse
    def __init__(self, response: _Optional[_Union[RecommendResponse, _Mapping]] = ...) -> None: ...

class RankRequest(_message.Message):
    __slots__ = ("session_id", "user_id", "item_ids", "session_items", "context")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ITEMS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    user_id: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    session_items: _containers.RepeatedScalarFieldContainer[str]
    context: _session_pb2.Context
    def __init__(self, session_id: _Optional[str] = ..., user_id: _Optional[str] = ..., item_ids: _Optional[_Iterable[str]] = ..., session_items: _Optional[_Iterable[str]] = ..., context: _Optional[_Union[_session_pb2.Context, _Mapping]] = ...) -> None: ...

class RankResponse(_message.Message):
    __slots__ = ("recommendation_id", "items", "session_version", "model_version", "degraded")
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SESSION_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    recommendation_id: str
    items: _containers.RepeatedCompositeFieldContainer[ScoredItem]
    session_version: int
    model_version: int
    degraded: _containers.RepeatedScalarFieldContainer[DegradedReason]
    def __init__(self, recommendation_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[ScoredItem, _Mapping]]] = ..., session_version: _Optional[int] = ..., model_version: _Optional[int] = ..., degraded: _Optional[_Iterable[_Union[DegradedReason, str]]] = ...) -> None: ...

class SimilarItemsRequest(_message.Message):
    __slots__ = ("item_id", "page_size", "filter", "by")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    page_size: int
    filter: ItemFilter
    by: Similarity
    def __init__(self, item_id: _Optional[str] = ..., page_size: _Optional[int] = ..., filter: _Optional[_Union[ItemFilter, _Mapping]] = ..., by: _Optional[_Union[Similarity, str]] = ...) -> None: ...

class SimilarItemsResponse(_message.Message):
    __slots__ = ("items", "model_version")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ScoredItem]
    model_version: int
    def __init__(self, items: _Optional[_Iterable[_Union[ScoredItem, _Mapping]]] = ..., model_version: _Optional[int] = ...) -> None: ...

class TrendingRequest(_message.Message):
    __slots__ = ("page_size", "filter")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    filter: ItemFilter
    def __init__(self, page_size: _Optional[int] = ..., filter: _Optional[_Union[ItemFilter, _Mapping]] = ...) -> None: ...

class TrendingResponse(_message.Message):
    __slots__ = ("items", "model_version")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ScoredItem]
    model_version: int
    def __init__(self, items: _Optional[_Iterable[_Union[ScoredItem, _Mapping]]] = ..., model_version: _Optional[int] = ...) -> None: ...
