import datetime

from libs.gen.cohort.v1 import event_pb2 as _event_pb2
from libs.gen.cohort.v1 import rule_pb2 as _rule_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Cohort(_message.Message):
    __slots__ = ("cohort_id", "name", "description", "rule", "static", "customer_ids", "size", "size_revision", "create_time", "update_time", "etag")
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    STATIC_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SIZE_REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    cohort_id: str
    name: str
    description: str
    rule: _rule_pb2.Rule
    static: bool
    customer_ids: _containers.RepeatedScalarFieldContainer[str]
    size: int
    size_revision: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, cohort_id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., rule: _Optional[_Union[_rule_pb2.Rule, _Mapping]] = ..., static: _Optional[bool] = ..., customer_ids: _Optional[_Iterable[str]] = ..., size: _Optional[int] = ..., size_revision: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class RunRuleRequest(_message.Message):
    __slots__ = ("rule", "text", "as_of", "min_revision", "count_only", "profile_fields", "with_node_sizes", "explain_plan", "page_size", "page_token")
    RULE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    COUNT_ONLY_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELDS_FIELD_NUMBER: _ClassVar[int]
    WITH_NODE_SIZES_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_PLAN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rule: _rule_pb2.Rule
    text: str
    as_of: _timestamp_pb2.Timestamp
    min_revision: str
    count_only: bool
    profile_fields: _containers.RepeatedScalarFieldContainer[str]
    with_node_sizes: bool
    explain_plan: bool
    page_size: int
    page_token: str
    def __init__(self, rule: _Optional[_Union[_rule_pb2.Rule, _Mapping]] = ..., text: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., min_revision: _Optional[str] = ..., count_only: _Optional[bool] = ..., profile_fields: _Optional[_Iterable[str]] = ..., with_node_sizes: _Optional[bool] = ..., explain_plan: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class RunRuleResponse(_message.Message):
    __slots__ = ("size", "customer_ids", "members", "next_page_token", "revision", "as_of", "elapsed", "warnings", "node_sizes", "plan")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    NODE_SIZES_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    size: int
    customer_ids: _containers.RepeatedScalarFieldContainer[str]
    members: _containers.RepeatedCompositeFieldContainer[_event_pb2.Member]
    next_page_token: str
    revision: str
    as_of: _timestamp_pb2.Timestamp
    elapsed: _duration_pb2.Duration
    warnings: _containers.RepeatedScalarFieldContainer[str]
    node_sizes: _containers.RepeatedScalarFieldContainer[int]
    plan: _containers.RepeatedCompositeFieldContainer[PlanNode]
    def __init__(self, size: _Optional[int] = ..., customer_ids: _Optional[_Iterable[str]] = ..., members: _Optional[_Iterable[_Union[_event_pb2.Member, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., revision: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., elapsed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., node_sizes: _Optional[_Iterable[int]] = ..., plan: _Optional[_Iterable[_Union[PlanNode, _Mapping]]] = ...) -> None: ...

class PlanNode(_message.Message):
    __slots__ = ("path", "access", "size", "elapsed")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    path: str
    access: str
    size: int
    elapsed: _duration_pb2.Duration
    def __init__(self, path: _Optional[str] = ..., access: _Optional[str] = ..., size: _Optional[int] = ..., elapsed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ParseRuleRequest(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ParseRuleResponse(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: _rule_pb2.Rule
    def __init__(self, rule: _Optional[_Union[_rule_pb2.Rule, _Mapping]] = ...) -> None: ...

class FormatRuleRequest(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: _rule_pb2.Rule
    def __init__(self, rule: _Optional[_Union[_rule_pb2.Rule, _Mapping]] = ...) -> None: ...

class FormatRuleResponse(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class CreateCohortRequest(_message.Message):
    __slots__ = ("cohort", "request_id")
    COHORT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    cohort: Cohort
    request_id: str
    def __init__(self, cohort: _Optional[_Union[Cohort, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateCohortResponse(_message.Message):
    __slots__ = ("cohort",)
    COHORT_FIELD_NUMBER: _ClassVar[int]
    cohort: Cohort
    def __init__(self, cohort: _Optional[_Union[Cohort, _Mapping]] = ...) -> None: ...

class GetCohortRequest(_message.Message):
    __slots__ = ("cohort_id",)
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    cohort_id: str
    def __init__(self, cohort_id: _Optional[str] = ...) -> None: ...

class GetCohortResponse(_message.Message):
    __slots__ = ("cohort",)
    COHORT_FIELD_NUMBER: _ClassVar[int]
    cohort: Cohort
    def __init__(self, cohort: _Optional[_Union[Cohort, _Mapping]] = ...) -> None: ...

class ListCohortsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCohortsResponse(_message.Message):
    __slots__ = ("cohorts", "next_page_token")
    COHORTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    cohorts: _containers.RepeatedCompositeFieldContainer[Cohort]
    next_page_token: str
    def __init__(self, cohorts: _Optional[_Iterable[_Union[Cohort, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateCohortRequest(_message.Message):
    __slots__ = ("cohort", "update_mask", "validate_only", "request_id")
    COHORT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    cohort: Cohort
    update_mask: _field_mask_pb2.FieldMask
    validate_only: bool
    request_id: str
    def __init__(self, cohort: _Optional[_Union[Cohort, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateCohortResponse(_message.Message):
    __slots__ = ("cohort", "entering", "leaving")
    COHORT_FIELD_NUMBER: _ClassVar[int]
    ENTERING_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    cohort: Cohort
    entering: int
    leaving: int
    def __init__(self, cohort: _Optional[_Union[Cohort, _Mapping]] = ..., entering: _Optional[int] = ..., leaving: _Optional[int] = ...) -> None: ...

class DeleteCohortRequest(_message.Message):
    __slots__ = ("cohort_id", "etag", "request_id")
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    cohort_id: str
    etag: str
    request_id: str
    def __init__(self, cohort_id: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteCohortResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListMembersRequest(_message.Message):
    __slots__ = ("cohort_id", "page_size", "page_token", "profile_fields", "as_of", "min_revision")
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELDS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    cohort_id: str
    page_size: int
    page_token: str
    profile_fields: _containers.RepeatedScalarFieldContainer[str]
    as_of: _timestamp_pb2.Timestamp
    min_revision: str
    def __init__(self, cohort_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., profile_fields: _Optional[_Iterable[str]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., min_revision: _Optional[str] = ...) -> None: ...

class ListMembersResponse(_message.Message):
    __slots__ = ("members", "next_page_token", "size", "revision", "as_of")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[_event_pb2.Member]
    next_page_token: str
    size: int
    revision: str
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, members: _Optional[_Iterable[_Union[_event_pb2.Member, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., size: _Optional[int] = ..., revision: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StreamMembersRequest(_message.Message):
    __slots__ = ("cohort_id", "cursor", "profile_fields", "as_of", "min_revision")
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELDS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    cohort_id: str
    cursor: str
    profile_fields: _containers.RepeatedScalarFieldContainer[str]
    as_of: _timestamp_pb2.Timestamp
    min_revision: str
    def __init__(self, cohort_id: _Optional[str] = ..., cursor: _Optional[str] = ..., profile_fields: _Optional[_Iterable[str]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., min_revision: _Optional[str] = ...) -> None: ...

class StreamMembersResponse(_message.Message):
    __slots__ = ("members", "cursor", "size", "revision", "as_of")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[_event_pb2.Member]
    cursor: str
    size: int
    revision: str
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, members: _Optional[_Iterable[_Union[_event_pb2.Member, _Mapping]]] = ..., cursor: _Optional[str] = ..., size: _Optional[int] = ..., revision: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetMemberSetRequest(_message.Message):
    __slots__ = ("cohort_id", "as_of", "min_revision", "profiles_since")
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    PROFILES_SINCE_FIELD_NUMBER: _ClassVar[int]
    cohort_id: str
    as_of: _timestamp_pb2.Timestamp
    min_revision: str
    profiles_since: str
    def __init__(self, cohort_id: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., min_revision: _Optional[str] = ..., profiles_since: _Optional[str] = ...) -> None: ...

class MemberSet(_message.Message):
    __slots__ = ("epoch", "shards")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    shards: _containers.RepeatedCompositeFieldContainer[MemberShard]
    def __init__(self, epoch: _Optional[str] = ..., shards: _Optional[_Iterable[_Union[MemberShard, _Mapping]]] = ...) -> None: ...

class MemberShard(_message.Message):
    __slots__ = ("shard", "roaring")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    ROARING_FIELD_NUMBER: _ClassVar[int]
    shard: str
    roaring: bytes
    def __init__(self, shard: _Optional[str] = ..., roaring: _Optional[bytes] = ...) -> None: ...

class GetMemberSetResponse(_message.Message):
    __slots__ = ("members", "size", "revision", "as_of", "cohort_name", "changed")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    COHORT_NAME_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    members: MemberSet
    size: int
    revision: str
    as_of: _timestamp_pb2.Timestamp
    cohort_name: str
    changed: MemberSet
    def __init__(self, members: _Optional[_Union[MemberSet, _Mapping]] = ..., size: _Optional[int] = ..., revision: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cohort_name: _Optional[str] = ..., changed: _Optional[_Union[MemberSet, _Mapping]] = ...) -> None: ...

class ResolveMembersRequest(_message.Message):
    __slots__ = ("members", "profile_fields", "all_profile_fields")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELDS_FIELD_NUMBER: _ClassVar[int]
    ALL_PROFILE_FIELDS_FIELD_NUMBER: _ClassVar[int]
    members: MemberSet
    profile_fields: _containers.RepeatedScalarFieldContainer[str]
    all_profile_fields: bool
    def __init__(self, members: _Optional[_Union[MemberSet, _Mapping]] = ..., profile_fields: _Optional[_Iterable[str]] = ..., all_profile_fields: _Optional[bool] = ...) -> None: ...

class ResolveMembersResponse(_message.Message):
    __slots__ = ("members",)
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[_event_pb2.Member]
    def __init__(self, members: _Optional[_Iterable[_Union[_event_pb2.Member, _Mapping]]] = ...) -> None: ...

class CheckMembershipRequest(_message.Message):
    __slots__ = ("customer_id", "cohort_ids", "as_of", "min_revision")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    COHORT_IDS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    cohort_ids: _containers.RepeatedScalarFieldContainer[str]
    as_of: _timestamp_pb2.Timestamp
    min_revision: str
    def __init__(self, customer_id: _Optional[str] = ..., cohort_ids: _Optional[_Iterable[str]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., min_revision: _Optional[str] = ...) -> None: ...

class CheckMembershipResponse(_message.Message):
    __slots__ = ("results", "revision", "as_of")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Membership]
    revision: str
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, results: _Optional[_Iterable[_Union[Membership, _Mapping]]] = ..., revision: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Membership(_message.Message):
    __slots__ = ("cohort_id", "member")
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    cohort_id: str
    member: bool
    def __init__(self, cohort_id: _Optional[str] = ..., member: _Optional[bool] = ...) -> None: ...

class BatchCheckMembershipRequest(_message.Message):
    __slots__ = ("pairs", "as_of", "min_revision")
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    pairs: _containers.RepeatedCompositeFieldContainer[MembershipPair]
    as_of: _timestamp_pb2.Timestamp
    min_revision: str
    def __init__(self, pairs: _Optional[_Iterable[_Union[MembershipPair, _Mapping]]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., min_revision: _Optional[str] = ...) -> None: ...

class MembershipPair(_message.Message):
    __slots__ = ("customer_id", "cohort_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    cohort_id: str
    def __init__(self, customer_id: _Optional[str] = ..., cohort_id: _Optional[str] = ...) -> None: ...

class BatchCheckMembershipResponse(_message.Message):
    __slots__ = ("results", "revision", "as_of")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[MembershipResult]
    revision: str
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, results: _Optional[_Iterable[_Union[MembershipResult, _Mapping]]] = ..., revision: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class MembershipResult(_message.Message):
    __slots__ = ("member", "error")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    member: bool
    error: _event_pb2.ItemError
    def __init__(self, member: _Optional[bool] = ..., error: _Optional[_Union[_event_pb2.ItemError, _Mapping]] = ...) -> None: ...

class LookupCohortsRequest(_message.Message):
    __slots__ = ("customer_id", "as_of", "min_revision")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    as_of: _timestamp_pb2.Timestamp
    min_revision: str
    def __init__(self, customer_id: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., min_revision: _Optional[str] = ...) -> None: ...

class LookupCohortsResponse(_message.Message):
    __slots__ = ("cohorts", "revision", "as_of")
    COHORTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    cohorts: _containers.RepeatedCompositeFieldContainer[Cohort]
    revision: str
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, cohorts: _Optional[_Iterable[_Union[Cohort, _Mapping]]] = ..., revision: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExplainMembershipRequest(_message.Message):
    __slots__ = ("rule", "cohort_id", "customer_id", "as_of")
    RULE_FIELD_NUMBER: _ClassVar[int]
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    rule: _rule_pb2.Rule
    cohort_id: str
    customer_id: str
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, rule: _Optional[_Union[_rule_pb2.Rule, _Mapping]] = ..., cohort_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExplainMembershipResponse(_message.Message):
    __slots__ = ("root", "changes_at", "revision", "as_of")
    ROOT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_AT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    root: ExplainedNode
    changes_at: _timestamp_pb2.Timestamp
    revision: str
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, root: _Optional[_Union[ExplainedNode, _Mapping]] = ..., changes_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExplainedNode(_message.Message):
    __slots__ = ("path", "holds", "text", "events", "event_count", "children", "profile")
    PATH_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    path: str
    holds: bool
    text: str
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    event_count: int
    children: _containers.RepeatedCompositeFieldContainer[ExplainedNode]
    profile: _struct_pb2.Struct
    def __init__(self, path: _Optional[str] = ..., holds: _Optional[bool] = ..., text: _Optional[str] = ..., events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., event_count: _Optional[int] = ..., children: _Optional[_Iterable[_Union[ExplainedNode, _Mapping]]] = ..., profile: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class GetSizeHistoryRequest(_message.Message):
    __slots__ = ("rule", "cohort_id", "start", "to")
    RULE_FIELD_NUMBER: _ClassVar[int]
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    rule: _rule_pb2.Rule
    cohort_id: str
    start: str
    to: str
    def __init__(self, rule: _Optional[_Union[_rule_pb2.Rule, _Mapping]] = ..., cohort_id: _Optional[str] = ..., start: _Optional[str] = ..., to: _Optional[str] = ...) -> None: ...

class GetSizeHistoryResponse(_message.Message):
    __slots__ = ("points", "revision")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[SizePoint]
    revision: str
    def __init__(self, points: _Optional[_Iterable[_Union[SizePoint, _Mapping]]] = ..., revision: _Optional[str] = ...) -> None: ...

class SizePoint(_message.Message):
    __slots__ = ("date", "size")
    DATE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    date: str
    size: int
    def __init__(self, date: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class CompareCohortsRequest(_message.Message):
    __slots__ = ("comparands", "as_of")
    COMPARANDS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    comparands: _containers.RepeatedCompositeFieldContainer[Comparand]
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, comparands: _Optional[_Iterable[_Union[Comparand, _Mapping]]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Comparand(_message.Message):
    __slots__ = ("rule", "cohort_id")
    RULE_FIELD_NUMBER: _ClassVar[int]
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    rule: _rule_pb2.Rule
    cohort_id: str
    def __init__(self, rule: _Optional[_Union[_rule_pb2.Rule, _Mapping]] = ..., cohort_id: _Optional[str] = ...) -> None: ...

class CompareCohortsResponse(_message.Message):
    __slots__ = ("intersections", "revision", "as_of")
    INTERSECTIONS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    intersections: _containers.RepeatedCompositeFieldContainer[Intersection]
    revision: str
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, intersections: _Optional[_Iterable[_Union[Intersection, _Mapping]]] = ..., revision: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Intersection(_message.Message):
    __slots__ = ("indexes", "size", "exclusive_size")
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_SIZE_FIELD_NUMBER: _ClassVar[int]
    indexes: _containers.RepeatedScalarFieldContainer[int]
    size: int
    exclusive_size: int
    def __init__(self, indexes: _Optional[_Iterable[int]] = ..., size: _Optional[int] = ..., exclusive_size: _Optional[int] = ...) -> None: ...

class WatchCohortRequest(_message.Message):
    __slots__ = ("cohort_id", "position")
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    cohort_id: str
    position: str
    def __init__(self, cohort_id: _Optional[str] = ..., position: _Optional[str] = ...) -> None: ...

class WatchCohortResponse(_message.Message):
    __slots__ = ("entered", "left", "position", "revision", "as_of")
    ENTERED_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    entered: _containers.RepeatedScalarFieldContainer[str]
    left: _containers.RepeatedScalarFieldContainer[str]
    position: str
    revision: str
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, entered: _Optional[_Iterable[str]] = ..., left: _Optional[_Iterable[str]] = ..., position: _Optional[str] = ..., revision: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
