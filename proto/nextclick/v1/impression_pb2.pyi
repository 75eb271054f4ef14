from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Impression(_message.Message):
    __slots__ = ("recommendation_id", "session_id", "session_version", "appended_item_ids", "item_ids", "model_version", "timestamp_ms")
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_VERSION_FIELD_NUMBER: _ClassVar[int]
    APPENDED_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    recommendation_id: str
    session_id: str
    session_version: int
    appended_item_ids: _containers.RepeatedScalarFieldContainer[str]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    model_version: int
    timestamp_ms: int
    def __init__(self, recommendation_id: _Optional[str] = ..., session_id: _Optional[str] = ..., session_version: _Optional[int] = ..., appended_item_ids: _Optional[_Iterable[str]] = ..., item_ids: _Optional[_Iterable[str]] = ..., model_version: _Optional[int] = ..., timestamp_ms: _Optional[int] = ...) -> None: ...
