from nextclick.v1 import session_pb2 as _session_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Profile(_message.Message):
    __slots__ = ("user_id", "version", "incarnation", "appended_ms", "items", "purchased", "liked", "disliked", "sessions", "steps", "repeated_steps", "first_timestamp_ms", "last_timestamp_ms", "merged")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    APPENDED_MS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PURCHASED_FIELD_NUMBER: _ClassVar[int]
    LIKED_FIELD_NUMBER: _ClassVar[int]
    DISLIKED_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    REPEATED_STEPS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    MERGED_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    version: int
    incarnation: int
    appended_ms: int
    items: _containers.RepeatedCompositeFieldContainer[ProfileItem]
    purchased: _containers.RepeatedCompositeFieldContainer[ProfileMark]
    liked: _containers.RepeatedCompositeFieldContainer[ProfileMark]
    disliked: _containers.RepeatedCompositeFieldContainer[ProfileMark]
    sessions: int
    steps: int
    repeated_steps: int
    first_timestamp_ms: int
    last_timestamp_ms: int
    merged: _containers.RepeatedCompositeFieldContainer[ProfileSession]
    def __init__(self, user_id: _Optional[str] = ..., version: _Optional[int] = ..., incarnation: _Optional[int] = ..., appended_ms: _Optional[int] = ..., items: _Optional[_Iterable[_Union[ProfileItem, _Mapping]]] = ..., purchased: _Optional[_Iterable[_Union[ProfileMark, _Mapping]]] = ..., liked: _Optional[_Iterable[_Union[ProfileMark, _Mapping]]] = ..., disliked: _Optional[_Iterable[_Union[ProfileMark, _Mapping]]] = ..., sessions: _Optional[int] = ..., steps: _Optional[int] = ..., repeated_steps: _Optional[int] = ..., first_timestamp_ms: _Optional[int] = ..., last_timestamp_ms: _Optional[int] = ..., merged: _Optional[_Iterable[_Union[ProfileSession, _Mapping]]] = ...) -> None: ...

class ProfileSession(_message.Message):
    __slots__ = ("session_id", "incarnation", "version", "appended_ms")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    APPENDED_MS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    incarnation: int
    version: int
    appended_ms: int
    def __init__(self, session_id: _Optional[str] = ..., incarnation: _Optional[int] = ..., version: _Optional[int] = ..., appended_ms: _Optional[int] = ...) -> None: ...

class ProfileItem(_message.Message):
    __slots__ = ("item_id", "steps", "sessions", "type", "last_timestamp_ms", "weight")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    LAST_TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    steps: int
    sessions: int
    type: _session_pb2.EventType
    last_timestamp_ms: int
    weight: float
    def __init__(self, item_id: _Optional[str] = ..., steps: _Optional[int] = ..., sessions: _Optional[int] = ..., type: _Optional[_Union[_session_pb2.EventType, str]] = ..., last_timestamp_ms: _Optional[int] = ..., weight: _Optional[float] = ...) -> None: ...

class ProfileMark(_message.Message):
    __slots__ = ("item_id", "timestamp_ms")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    timestamp_ms: int
    def __init__(self, item_id: _Optional[str] = ..., timestamp_ms: _Optional[int] = ...) -> None: ...
