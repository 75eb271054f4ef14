from nextclick.v1 import impression_pb2 as _impression_pb2
from nextclick.v1 import session_pb2 as _session_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Score(_message.Message):
    __slots__ = ("model", "cases", "shadow_cases", "impressions", "attributed_clicks", "click_through_rate", "windows", "drifts", "calibration", "timestamp_ms")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CASES_FIELD_NUMBER: _ClassVar[int]
    SHADOW_CASES_FIELD_NUMBER: _ClassVar[int]
    IMPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTED_CLICKS_FIELD_NUMBER: _ClassVar[int]
    CLICK_THROUGH_RATE_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    DRIFTS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    model: str
    cases: int
    shadow_cases: int
    impressions: int
    attributed_clicks: int
    click_through_rate: float
    windows: _containers.RepeatedCompositeFieldContainer[ScoreWindow]
    drifts: _containers.RepeatedCompositeFieldContainer[Drift]
    calibration: Calibration
    timestamp_ms: int
    def __init__(self, model: _Optional[str] = ..., cases: _Optional[int] = ..., shadow_cases: _Optional[int] = ..., impressions: _Optional[int] = ..., attributed_clicks: _Optional[int] = ..., click_through_rate: _Optional[float] = ..., windows: _Optional[_Iterable[_Union[ScoreWindow, _Mapping]]] = ..., drifts: _Optional[_Iterable[_Union[Drift, _Mapping]]] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., timestamp_ms: _Optional[int] = ...) -> None: ...

class ScoreWindow(_message.Message):
    __slots__ = ("size", "cases", "since_ms", "at", "coverage", "diversity", "popularity", "shown")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CASES_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    POPULARITY_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    size: int
    cases: int
    since_ms: int
    at: _containers.RepeatedCompositeFieldContainer[CutoffScores]
    coverage: float
    diversity: float
    popularity: float
    shown: float
    def __init__(self, size: _Optional[int] = ..., cases: _Optional[int] = ..., since_ms: _Optional[int] = ..., at: _Optional[_Iterable[_Union[CutoffScores, _Mapping]]] = ..., coverage: _Optional[float] = ..., diversity: _Optional[float] = ..., popularity: _Optional[float] = ..., shown: _Optional[float] = ...) -> None: ...

class CutoffScores(_message.Message):
    __slots__ = ("k", "hit_rate", "mrr", "ndcg")
    K_FIELD_NUMBER: _ClassVar[int]
    HIT_RATE_FIELD_NUMBER: _ClassVar[int]
    MRR_FIELD_NUMBER: _ClassVar[int]
    NDCG_FIELD_NUMBER: _ClassVar[int]
    k: int
    hit_rate: float
    mrr: float
    ndcg: float
    def __init__(self, k: _Optional[int] = ..., hit_rate: _Optional[float] = ..., mrr: _Optional[float] = ..., ndcg: _Optional[float] = ...) -> None: ...

class Drift(_message.Message):
    __slots__ = ("began_ms", "noticed_ms", "hit_rate_before", "hit_rate_after")
    BEGAN_MS_FIELD_NUMBER: _ClassVar[int]
    NOTICED_MS_FIELD_NUMBER: _ClassVar[int]
    HIT_RATE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    HIT_RATE_AFTER_FIELD_NUMBER: _ClassVar[int]
    began_ms: int
    noticed_ms: int
    hit_rate_before: float
    hit_rate_after: float
    def __init__(self, began_ms: _Optional[int] = ..., noticed_ms: _Optional[int] = ..., hit_rate_before: _Optional[float] = ..., hit_rate_after: _Optional[float] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("slope", "intercept", "predicted", "observed")
    SLOPE_FIELD_NUMBER: _ClassVar[int]
    INTERCEPT_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    slope: float
    intercept: float
    predicted: float
    observed: float
    def __init__(self, slope: _Optional[float] = ..., intercept: _Optional[float] = ..., predicted: _Optional[float] = ..., observed: _Optional[float] = ...) -> None: ...

class AwaitedAnswers(_message.Message):
    __slots__ = ("version", "scored_seq", "steps", "answers", "shown", "incarnation", "appended_ms", "last_steps", "waiting", "last_shown")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SCORED_SEQ_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    APPENDED_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_STEPS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    LAST_SHOWN_FIELD_NUMBER: _ClassVar[int]
    version: int
    scored_seq: int
    steps: _containers.RepeatedCompositeFieldContainer[_session_pb2.Step]
    answers: _containers.RepeatedCompositeFieldContainer[_impression_pb2.Impression]
    shown: _containers.RepeatedCompositeFieldContainer[AnswerName]
    incarnation: int
    appended_ms: int
    last_steps: _containers.RepeatedCompositeFieldContainer[AwaitedStep]
    waiting: _containers.RepeatedCompositeFieldContainer[AwaitedAnswer]
    last_shown: _containers.RepeatedCompositeFieldContainer[ShownAnswer]
    def __init__(self, version: _Optional[int] = ..., scored_seq: _Optional[int] = ..., steps: _Optional[_Iterable[_Union[_session_pb2.Step, _Mapping]]] = ..., answers: _Optional[_Iterable[_Union[_impression_pb2.Impression, _Mapping]]] = ..., shown: _Optional[_Iterable[_Union[AnswerName, _Mapping]]] = ..., incarnation: _Optional[int] = ..., appended_ms: _Optional[int] = ..., last_steps: _Optional[_Iterable[_Union[AwaitedStep, _Mapping]]] = ..., waiting: _Optional[_Iterable[_Union[AwaitedAnswer, _Mapping]]] = ..., last_shown: _Optional[_Iterable[_Union[ShownAnswer, _Mapping]]] = ...) -> None: ...

class AwaitedStep(_message.Message):
    __slots__ = ("item", "seq")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    item: int
    seq: int
    def __init__(self, item: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class AwaitedAnswer(_message.Message):
    __slots__ = ("session_version", "session_incarnation", "timestamp_ms", "appended_items", "lists")
    SESSION_VERSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    APPENDED_ITEMS_FIELD_NUMBER: _ClassVar[int]
    LISTS_FIELD_NUMBER: _ClassVar[int]
    session_version: int
    session_incarnation: int
    timestamp_ms: int
    appended_items: _containers.RepeatedScalarFieldContainer[int]
    lists: _containers.RepeatedCompositeFieldContainer[AwaitedList]
    def __init__(self, session_version: _Optional[int] = ..., session_incarnation: _Optional[int] = ..., timestamp_ms: _Optional[int] = ..., appended_items: _Optional[_Iterable[int]] = ..., lists: _Optional[_Iterable[_Union[AwaitedList, _Mapping]]] = ...) -> None: ...

class AwaitedList(_message.Message):
    __slots__ = ("model", "items", "scores", "diversity", "popularity")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    POPULARITY_FIELD_NUMBER: _ClassVar[int]
    model: str
    items: _containers.RepeatedScalarFieldContainer[int]
    scores: _containers.RepeatedScalarFieldContainer[float]
    diversity: float
    popularity: float
    def __init__(self, model: _Optional[str] = ..., items: _Optional[_Iterable[int]] = ..., scores: _Optional[_Iterable[float]] = ..., diversity: _Optional[float] = ..., popularity: _Optional[float] = ...) -> None: ...

class ShownAnswer(_message.Message):
    __slots__ = ("answer", "model")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    answer: int
    model: str
    def __init__(self, answer: _Optional[int] = ..., model: _Optional[str] = ...) -> None: ...

class AnswerName(_message.Message):
    __slots__ = ("recommendation_id", "model")
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    recommendation_id: str
    model: str
    def __init__(self, recommendation_id: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class ScoreCounts(_message.Message):
    __slots__ = ("score", "recent_impressions", "recent_clicks", "known_items")
    SCORE_FIELD_NUMBER: _ClassVar[int]
    RECENT_IMPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    RECENT_CLICKS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_ITEMS_FIELD_NUMBER: _ClassVar[int]
    score: Score
    recent_impressions: float
    recent_clicks: float
    known_items: int
    def __init__(self, score: _Optional[_Union[Score, _Mapping]] = ..., recent_impressions: _Optional[float] = ..., recent_clicks: _Optional[float] = ..., known_items: _Optional[int] = ...) -> None: ...
