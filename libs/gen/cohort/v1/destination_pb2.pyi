from libs.gen.cohort.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("name", "match_keys", "batch_limit", "modes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MATCH_KEYS_FIELD_NUMBER: _ClassVar[int]
    BATCH_LIMIT_FIELD_NUMBER: _ClassVar[int]
    MODES_FIELD_NUMBER: _ClassVar[int]
    name: str
    match_keys: _containers.RepeatedScalarFieldContainer[str]
    batch_limit: int
    modes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., match_keys: _Optional[_Iterable[str]] = ..., batch_limit: _Optional[int] = ..., modes: _Optional[_Iterable[str]] = ...) -> None: ...

class OpenAudienceRequest(_message.Message):
    __slots__ = ("sync_id", "cohort_name")
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    COHORT_NAME_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    cohort_name: str
    def __init__(self, sync_id: _Optional[str] = ..., cohort_name: _Optional[str] = ...) -> None: ...

class OpenAudienceResponse(_message.Message):
    __slots__ = ("audience",)
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    audience: str
    def __init__(self, audience: _Optional[str] = ...) -> None: ...

class ApplyBatchRequest(_message.Message):
    __slots__ = ("audience", "run_id", "batch_seq", "adds", "removes", "mode")
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_SEQ_FIELD_NUMBER: _ClassVar[int]
    ADDS_FIELD_NUMBER: _ClassVar[int]
    REMOVES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    audience: str
    run_id: str
    batch_seq: int
    adds: _containers.RepeatedCompositeFieldContainer[_event_pb2.Member]
    removes: _containers.RepeatedCompositeFieldContainer[_event_pb2.Member]
    mode: str
    def __init__(self, audience: _Optional[str] = ..., run_id: _Optional[str] = ..., batch_seq: _Optional[int] = ..., adds: _Optional[_Iterable[_Union[_event_pb2.Member, _Mapping]]] = ..., removes: _Optional[_Iterable[_Union[_event_pb2.Member, _Mapping]]] = ..., mode: _Optional[str] = ...) -> None: ...

class ApplyBatchResponse(_message.Message):
    __slots__ = ("accepted", "rejected")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    rejected: _containers.RepeatedCompositeFieldContainer[RejectedMember]
    def __init__(self, accepted: _Optional[int] = ..., rejected: _Optional[_Iterable[_Union[RejectedMember, _Mapping]]] = ...) -> None: ...

class RejectedMember(_message.Message):
    __slots__ = ("customer_id", "reason")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    reason: str
    def __init__(self, customer_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CloseRunRequest(_message.Message):
    __slots__ = ("audience", "run_id")
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    audience: str
    run_id: str
    def __init__(self, audience: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class CloseRunResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
