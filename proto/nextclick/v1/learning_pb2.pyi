from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Example(_message.Message):
    __slots__ = ("feature_schema", "session_id", "seq", "item_ids", "features", "target", "packed_features", "incarnation", "appended_ms", "candidates", "candidate_ids")
    FEATURE_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PACKED_FEATURES_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    APPENDED_MS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_IDS_FIELD_NUMBER: _ClassVar[int]
    feature_schema: str
    session_id: str
    seq: int
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    features: bytes
    target: int
    packed_features: bytes
    incarnation: int
    appended_ms: int
    candidates: int
    candidate_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, feature_schema: _Optional[str] = ..., session_id: _Optional[str] = ..., seq: _Optional[int] = ..., item_ids: _Optional[_Iterable[str]] = ..., features: _Optional[bytes] = ..., target: _Optional[int] = ..., packed_features: _Optional[bytes] = ..., incarnation: _Optional[int] = ..., appended_ms: _Optional[int] = ..., candidates: _Optional[int] = ..., candidate_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ItemVectors(_message.Message):
    __slots__ = ("version", "context", "target", "offsets")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    version: int
    context: bytes
    target: bytes
    offsets: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, version: _Optional[int] = ..., context: _Optional[bytes] = ..., target: _Optional[bytes] = ..., offsets: _Optional[_Iterable[int]] = ...) -> None: ...

class LearnerState(_message.Message):
    __slots__ = ("version", "applied", "checksum", "learned", "paused", "rolled_back_to", "kept_versions", "timestamp_ms", "weights", "offsets", "repetitions", "passed_over", "passed_over_checksum", "sampled", "newest_incarnation")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    LEARNED_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    ROLLED_BACK_TO_FIELD_NUMBER: _ClassVar[int]
    KEPT_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    REPETITIONS_FIELD_NUMBER: _ClassVar[int]
    PASSED_OVER_FIELD_NUMBER: _ClassVar[int]
    PASSED_OVER_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    NEWEST_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    version: int
    applied: int
    checksum: int
    learned: int
    paused: bool
    rolled_back_to: int
    kept_versions: _containers.RepeatedScalarFieldContainer[int]
    timestamp_ms: int
    weights: RankerWeights
    offsets: _containers.RepeatedScalarFieldContainer[int]
    repetitions: int
    passed_over: int
    passed_over_checksum: int
    sampled: _containers.RepeatedCompositeFieldContainer[SampledPeriod]
    newest_incarnation: int
    def __init__(self, version: _Optional[int] = ..., applied: _Optional[int] = ..., checksum: _Optional[int] = ..., learned: _Optional[int] = ..., paused: bool = ..., rolled_back_to: _Optional[int] = ..., kept_versions: _Optional[_Iterable[int]] = ..., timestamp_ms: _Optional[int] = ..., weights: _Optional[_Union[RankerWeights, _Mapping]] = ..., offsets: _Optional[_Iterable[int]] = ..., repetitions: _Optional[int] = ..., passed_over: _Optional[int] = ..., passed_over_checksum: _Optional[int] = ..., sampled: _Optional[_Iterable[_Union[SampledPeriod, _Mapping]]] = ..., newest_incarnation: _Optional[int] = ...) -> None: ...

class SampledPeriod(_message.Message):
    __slots__ = ("from_incarnation", "until_incarnation", "share")
    FROM_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    UNTIL_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    from_incarnation: int
    until_incarnation: int
    share: float
    def __init__(self, from_incarnation: _Optional[int] = ..., until_incarnation: _Optional[int] = ..., share: _Optional[float] = ...) -> None: ...

class RankerWeights(_message.Message):
    __slots__ = ("feature_schema", "network", "mean", "variance", "linear", "scores")
    FEATURE_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_FIELD_NUMBER: _ClassVar[int]
    LINEAR_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    feature_schema: str
    network: bytes
    mean: bytes
    variance: bytes
    linear: bytes
    scores: bytes
    def __init__(self, feature_schema: _Optional[str] = ..., network: _Optional[bytes] = ..., mean: _Optional[bytes] = ..., variance: _Optional[bytes] = ..., linear: _Optional[bytes] = ..., scores: _Optional[bytes] = ...) -> None: ...

class LearnerCommand(_message.Message):
    __slots__ = ("kind", "version")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[LearnerCommand.Kind]
        KIND_PAUSE: _ClassVar[LearnerCommand.Kind]
        KIND_RESUME: _ClassVar[LearnerCommand.Kind]
        KIND_ROLL_BACK: _ClassVar[LearnerCommand.Kind]
    KIND_UNSPECIFIED: LearnerCommand.Kind
    KIND_PAUSE: LearnerCommand.Kind
    KIND_RESUME: LearnerCommand.Kind
    KIND_ROLL_BACK: LearnerCommand.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    kind: LearnerCommand.Kind
    version: int
    def __init__(self, kind: _Optional[_Union[LearnerCommand.Kind, str]] = ..., version: _Optional[int] = ...) -> None: ...
