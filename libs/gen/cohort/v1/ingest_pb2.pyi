import datetime

from libs.gen.cohort.v1 import event_pb2 as _event_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SendEventsRequest(_message.Message):
    __slots__ = ("events", "request_id")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    request_id: str
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class SendEventsResponse(_message.Message):
    __slots__ = ("revision", "accepted", "duplicates", "rejected")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    revision: str
    accepted: int
    duplicates: int
    rejected: _containers.RepeatedCompositeFieldContainer[_event_pb2.Rejection]
    def __init__(self, revision: _Optional[str] = ..., accepted: _Optional[int] = ..., duplicates: _Optional[int] = ..., rejected: _Optional[_Iterable[_Union[_event_pb2.Rejection, _Mapping]]] = ...) -> None: ...

class StreamEventsRequest(_message.Message):
    __slots__ = ("send",)
    SEND_FIELD_NUMBER: _ClassVar[int]
    send: SendEventsRequest
    def __init__(self, send: _Optional[_Union[SendEventsRequest, _Mapping]] = ...) -> None: ...

class StreamEventsResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: SendEventsResponse
    def __init__(self, result: _Optional[_Union[SendEventsResponse, _Mapping]] = ...) -> None: ...

class SendEventColumnsRequest(_message.Message):
    __slots__ = ("customer_ids", "event_types", "event_times_ms", "event_ids", "columns", "request_id")
    CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPES_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIMES_MS_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    customer_ids: _containers.RepeatedScalarFieldContainer[str]
    event_types: _containers.RepeatedScalarFieldContainer[str]
    event_times_ms: _containers.RepeatedScalarFieldContainer[int]
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    request_id: str
    def __init__(self, customer_ids: _Optional[_Iterable[str]] = ..., event_types: _Optional[_Iterable[str]] = ..., event_times_ms: _Optional[_Iterable[int]] = ..., event_ids: _Optional[_Iterable[str]] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("attribute", "strings", "numbers", "bools", "present")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    STRINGS_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    BOOLS_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    strings: _containers.RepeatedScalarFieldContainer[str]
    numbers: _containers.RepeatedScalarFieldContainer[float]
    bools: _containers.RepeatedScalarFieldContainer[bool]
    present: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, attribute: _Optional[str] = ..., strings: _Optional[_Iterable[str]] = ..., numbers: _Optional[_Iterable[float]] = ..., bools: _Optional[_Iterable[bool]] = ..., present: _Optional[_Iterable[bool]] = ...) -> None: ...

class SendEventColumnsResponse(_message.Message):
    __slots__ = ("revision", "accepted", "duplicates", "rejected")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    revision: str
    accepted: int
    duplicates: int
    rejected: _containers.RepeatedCompositeFieldContainer[_event_pb2.Rejection]
    def __init__(self, revision: _Optional[str] = ..., accepted: _Optional[int] = ..., duplicates: _Optional[int] = ..., rejected: _Optional[_Iterable[_Union[_event_pb2.Rejection, _Mapping]]] = ...) -> None: ...

class SendEventsJsonRequest(_message.Message):
    __slots__ = ("json_lines", "request_id")
    JSON_LINES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    json_lines: bytes
    request_id: str
    def __init__(self, json_lines: _Optional[bytes] = ..., request_id: _Optional[str] = ...) -> None: ...

class SendEventsJsonResponse(_message.Message):
    __slots__ = ("revision", "accepted", "duplicates", "rejected")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    revision: str
    accepted: int
    duplicates: int
    rejected: _containers.RepeatedCompositeFieldContainer[_event_pb2.Rejection]
    def __init__(self, revision: _Optional[str] = ..., accepted: _Optional[int] = ..., duplicates: _Optional[int] = ..., rejected: _Optional[_Iterable[_Union[_event_pb2.Rejection, _Mapping]]] = ...) -> None: ...

class UpsertCustomersRequest(_message.Message):
    __slots__ = ("customers", "request_id")
    CUSTOMERS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    customers: _containers.RepeatedCompositeFieldContainer[_event_pb2.Customer]
    request_id: str
    def __init__(self, customers: _Optional[_Iterable[_Union[_event_pb2.Customer, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpsertCustomersResponse(_message.Message):
    __slots__ = ("revision", "accepted", "rejected")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    revision: str
    accepted: int
    rejected: _containers.RepeatedCompositeFieldContainer[_event_pb2.Rejection]
    def __init__(self, revision: _Optional[str] = ..., accepted: _Optional[int] = ..., rejected: _Optional[_Iterable[_Union[_event_pb2.Rejection, _Mapping]]] = ...) -> None: ...

class GetCustomerRequest(_message.Message):
    __slots__ = ("customer_id",)
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    def __init__(self, customer_id: _Optional[str] = ...) -> None: ...

class GetCustomerResponse(_message.Message):
    __slots__ = ("customer", "first_event_time", "last_event_time", "events", "revision")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    FIRST_EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    customer: _event_pb2.Customer
    first_event_time: _timestamp_pb2.Timestamp
    last_event_time: _timestamp_pb2.Timestamp
    events: int
    revision: str
    def __init__(self, customer: _Optional[_Union[_event_pb2.Customer, _Mapping]] = ..., first_event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., events: _Optional[int] = ..., revision: _Optional[str] = ...) -> None: ...

class ListCustomerEventsRequest(_message.Message):
    __slots__ = ("customer_id", "page_size", "page_token")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    page_size: int
    page_token: str
    def __init__(self, customer_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCustomerEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token", "revision")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    next_page_token: str
    revision: str
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., revision: _Optional[str] = ...) -> None: ...

class DeleteCustomersRequest(_message.Message):
    __slots__ = ("customer_ids", "request_id")
    CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    customer_ids: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    def __init__(self, customer_ids: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteCustomersResponse(_message.Message):
    __slots__ = ("revision", "deleted")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    revision: str
    deleted: int
    def __init__(self, revision: _Optional[str] = ..., deleted: _Optional[int] = ...) -> None: ...

class ListErasuresRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "with_compaction")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WITH_COMPACTION_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    with_compaction: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., with_compaction: _Optional[bool] = ...) -> None: ...

class Erasure(_message.Message):
    __slots__ = ("erasure_id", "customer_id", "create_time", "revision", "waits_for", "report_time", "acknowledged")
    ERASURE_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    REPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    erasure_id: str
    customer_id: str
    create_time: _timestamp_pb2.Timestamp
    revision: str
    waits_for: _containers.RepeatedCompositeFieldContainer[ErasureWait]
    report_time: _timestamp_pb2.Timestamp
    acknowledged: bool
    def __init__(self, erasure_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[str] = ..., waits_for: _Optional[_Iterable[_Union[ErasureWait, _Mapping]]] = ..., report_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., acknowledged: _Optional[bool] = ...) -> None: ...

class ErasureWait(_message.Message):
    __slots__ = ("sync_id", "destination_id", "destination_name", "reason")
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_ID_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    destination_id: str
    destination_name: str
    reason: str
    def __init__(self, sync_id: _Optional[str] = ..., destination_id: _Optional[str] = ..., destination_name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ListErasuresResponse(_message.Message):
    __slots__ = ("erasures", "next_page_token", "awaits_compaction")
    ERASURES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AWAITS_COMPACTION_FIELD_NUMBER: _ClassVar[int]
    erasures: _containers.RepeatedCompositeFieldContainer[Erasure]
    next_page_token: str
    awaits_compaction: bool
    def __init__(self, erasures: _Optional[_Iterable[_Union[Erasure, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., awaits_compaction: _Optional[bool] = ...) -> None: ...

class ConfirmErasureRequest(_message.Message):
    __slots__ = ("erasure_id", "request_id")
    ERASURE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    erasure_id: str
    request_id: str
    def __init__(self, erasure_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ConfirmErasureResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReportErasuresRequest(_message.Message):
    __slots__ = ("reports",)
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[ErasureReport]
    def __init__(self, reports: _Optional[_Iterable[_Union[ErasureReport, _Mapping]]] = ...) -> None: ...

class ErasureReport(_message.Message):
    __slots__ = ("erasure_id", "waits_for")
    ERASURE_ID_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    erasure_id: str
    waits_for: _containers.RepeatedCompositeFieldContainer[ErasureWait]
    def __init__(self, erasure_id: _Optional[str] = ..., waits_for: _Optional[_Iterable[_Union[ErasureWait, _Mapping]]] = ...) -> None: ...

class ReportErasuresResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCatalogRequest(_message.Message):
    __slots__ = ("event_type", "profiles_only", "attribute", "prefix", "max_values", "max_names")
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROFILES_ONLY_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUES_FIELD_NUMBER: _ClassVar[int]
    MAX_NAMES_FIELD_NUMBER: _ClassVar[int]
    event_type: str
    profiles_only: bool
    attribute: str
    prefix: str
    max_values: int
    max_names: int
    def __init__(self, event_type: _Optional[str] = ..., profiles_only: _Optional[bool] = ..., attribute: _Optional[str] = ..., prefix: _Optional[str] = ..., max_values: _Optional[int] = ..., max_names: _Optional[int] = ...) -> None: ...

class GetCatalogResponse(_message.Message):
    __slots__ = ("event_types", "profile_attributes", "customers", "events", "revision", "time_zone")
    EVENT_TYPES_FIELD_NUMBER: _ClassVar[int]
    PROFILE_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CUSTOMERS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    event_types: _containers.RepeatedCompositeFieldContainer[CatalogEventType]
    profile_attributes: _containers.RepeatedCompositeFieldContainer[CatalogAttribute]
    customers: int
    events: int
    revision: str
    time_zone: str
    def __init__(self, event_types: _Optional[_Iterable[_Union[CatalogEventType, _Mapping]]] = ..., profile_attributes: _Optional[_Iterable[_Union[CatalogAttribute, _Mapping]]] = ..., customers: _Optional[int] = ..., events: _Optional[int] = ..., revision: _Optional[str] = ..., time_zone: _Optional[str] = ...) -> None: ...

class CatalogEventType(_message.Message):
    __slots__ = ("event_type", "predefined", "events", "customers", "first_time", "last_time", "attributes")
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PREDEFINED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CUSTOMERS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    event_type: str
    predefined: bool
    events: int
    customers: int
    first_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    attributes: _containers.RepeatedCompositeFieldContainer[CatalogAttribute]
    def __init__(self, event_type: _Optional[str] = ..., predefined: _Optional[bool] = ..., events: _Optional[int] = ..., customers: _Optional[int] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attributes: _Optional[_Iterable[_Union[CatalogAttribute, _Mapping]]] = ...) -> None: ...

class CatalogAttribute(_message.Message):
    __slots__ = ("attribute", "predefined", "kinds")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    PREDEFINED_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    predefined: bool
    kinds: _containers.RepeatedCompositeFieldContainer[CatalogKind]
    def __init__(self, attribute: _Optional[str] = ..., predefined: _Optional[bool] = ..., kinds: _Optional[_Iterable[_Union[CatalogKind, _Mapping]]] = ...) -> None: ...

class CatalogKind(_message.Message):
    __slots__ = ("kind", "count", "minimum", "maximum", "distinct", "top_values")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[CatalogKind.Kind]
        STRING: _ClassVar[CatalogKind.Kind]
        NUMBER: _ClassVar[CatalogKind.Kind]
        BOOL: _ClassVar[CatalogKind.Kind]
    KIND_UNSPECIFIED: CatalogKind.Kind
    STRING: CatalogKind.Kind
    NUMBER: CatalogKind.Kind
    BOOL: CatalogKind.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FIELD_NUMBER: _ClassVar[int]
    TOP_VALUES_FIELD_NUMBER: _ClassVar[int]
    kind: CatalogKind.Kind
    count: int
    minimum: float
    maximum: float
    distinct: int
    top_values: _containers.RepeatedCompositeFieldContainer[CatalogValue]
    def __init__(self, kind: _Optional[_Union[CatalogKind.Kind, str]] = ..., count: _Optional[int] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., distinct: _Optional[int] = ..., top_values: _Optional[_Iterable[_Union[CatalogValue, _Mapping]]] = ...) -> None: ...

class CatalogValue(_message.Message):
    __slots__ = ("value", "count")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    value: _struct_pb2.Value
    count: int
    def __init__(self, value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...
