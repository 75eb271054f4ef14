from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_TYPE_UNSPECIFIED: _ClassVar[EventType]
    EVENT_TYPE_VIEW: _ClassVar[EventType]
    EVENT_TYPE_CLICK: _ClassVar[EventType]
    EVENT_TYPE_PLAY: _ClassVar[EventType]
    EVENT_TYPE_ADD_TO_CART: _ClassVar[EventType]
    EVENT_TYPE_LIKE: _ClassVar[EventType]
    EVENT_TYPE_PURCHASE: _ClassVar[EventType]
    EVENT_TYPE_RATING: _ClassVar[EventType]
    EVENT_TYPE_DISLIKE: _ClassVar[EventType]
EVENT_TYPE_UNSPECIFIED: EventType
EVENT_TYPE_VIEW: EventType
EVENT_TYPE_CLICK: EventType
EVENT_TYPE_PLAY: EventType
EVENT_TYPE_ADD_TO_CART: EventType
EVENT_TYPE_LIKE: EventType
EVENT_TYPE_PURCHASE: EventType
EVENT_TYPE_RATING: EventType
EVENT_TYPE_DISLIKE: EventType

class Step(_message.Message):
    __slots__ = ("item_id", "timestamp_ms", "seq", "type", "strengthened_seq", "recommendation_id", "position", "appended_ms")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STRENGTHENED_SEQ_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    APPENDED_MS_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    timestamp_ms: int
    seq: int
    type: EventType
    strengthened_seq: int
    recommendation_id: str
    position: int
    appended_ms: int
    def __init__(self, item_id: _Optional[str] = ..., timestamp_ms: _Optional[int] = ..., seq: _Optional[int] = ..., type: _Optional[_Union[EventType, str]] = ..., strengthened_seq: _Optional[int] = ..., recommendation_id: _Optional[str] = ..., position: _Optional[int] = ..., appended_ms: _Optional[int] = ...) -> None: ...

class Context(_message.Message):
    __slots__ = ("device", "country", "channel", "referrer")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    REFERRER_FIELD_NUMBER: _ClassVar[int]
    device: str
    country: str
    channel: str
    referrer: str
    def __init__(self, device: _Optional[str] = ..., country: _Optional[str] = ..., channel: _Optional[str] = ..., referrer: _Optional[str] = ...) -> None: ...

class SessionRecord(_message.Message):
    __slots__ = ("session_id", "user_id", "version", "applied", "duplicates", "step_count", "steps", "hidden_item_ids", "first_timestamp_ms", "last_timestamp_ms", "incarnation", "appended_ms", "context", "several_users")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    STEP_COUNT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    APPENDED_MS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SEVERAL_USERS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    user_id: str
    version: int
    applied: int
    duplicates: int
    step_count: int
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    hidden_item_ids: _containers.RepeatedScalarFieldContainer[str]
    first_timestamp_ms: int
    last_timestamp_ms: int
    incarnation: int
    appended_ms: int
    context: Context
    several_users: bool
    def __init__(self, session_id: _Optional[str] = ..., user_id: _Optional[str] = ..., version: _Optional[int] = ..., applied: _Optional[int] = ..., duplicates: _Optional[int] = ..., step_count: _Optional[int] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., hidden_item_ids: _Optional[_Iterable[str]] = ..., first_timestamp_ms: _Optional[int] = ..., last_timestamp_ms: _Optional[int] = ..., incarnation: _Optional[int] = ..., appended_ms: _Optional[int] = ..., context: _Optional[_Union[Context, _Mapping]] = ..., several_users: bool = ...) -> None: ...
