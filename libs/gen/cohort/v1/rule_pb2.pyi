from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Rule(_message.Message):
    __slots__ = ("all", "any", "negation", "did", "profile", "cohort", "sequence")
    ALL_FIELD_NUMBER: _ClassVar[int]
    ANY_FIELD_NUMBER: _ClassVar[int]
    NEGATION_FIELD_NUMBER: _ClassVar[int]
    DID_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    COHORT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    all: AllRule
    any: AnyRule
    negation: NotRule
    did: Did
    profile: ProfileRule
    cohort: CohortRule
    sequence: Sequence
    def __init__(self, all: _Optional[_Union[AllRule, _Mapping]] = ..., any: _Optional[_Union[AnyRule, _Mapping]] = ..., negation: _Optional[_Union[NotRule, _Mapping]] = ..., did: _Optional[_Union[Did, _Mapping]] = ..., profile: _Optional[_Union[ProfileRule, _Mapping]] = ..., cohort: _Optional[_Union[CohortRule, _Mapping]] = ..., sequence: _Optional[_Union[Sequence, _Mapping]] = ...) -> None: ...

class AllRule(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    def __init__(self, rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ...) -> None: ...

class AnyRule(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    def __init__(self, rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ...) -> None: ...

class NotRule(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: Rule
    def __init__(self, rule: _Optional[_Union[Rule, _Mapping]] = ...) -> None: ...

class Did(_message.Message):
    __slots__ = ("event_type", "where", "when", "count", "aggregate", "first_time")
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    event_type: str
    where: Condition
    when: Window
    count: Count
    aggregate: Aggregate
    first_time: bool
    def __init__(self, event_type: _Optional[str] = ..., where: _Optional[_Union[Condition, _Mapping]] = ..., when: _Optional[_Union[Window, _Mapping]] = ..., count: _Optional[_Union[Count, _Mapping]] = ..., aggregate: _Optional[_Union[Aggregate, _Mapping]] = ..., first_time: _Optional[bool] = ...) -> None: ...

class Count(_message.Message):
    __slots__ = ("op", "value", "upper")
    class Op(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OP_UNSPECIFIED: _ClassVar[Count.Op]
        AT_LEAST: _ClassVar[Count.Op]
        AT_MOST: _ClassVar[Count.Op]
        EXACTLY: _ClassVar[Count.Op]
        MORE_THAN: _ClassVar[Count.Op]
        LESS_THAN: _ClassVar[Count.Op]
        BETWEEN: _ClassVar[Count.Op]
    OP_UNSPECIFIED: Count.Op
    AT_LEAST: Count.Op
    AT_MOST: Count.Op
    EXACTLY: Count.Op
    MORE_THAN: Count.Op
    LESS_THAN: Count.Op
    BETWEEN: Count.Op
    OP_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    op: Count.Op
    value: int
    upper: int
    def __init__(self, op: _Optional[_Union[Count.Op, str]] = ..., value: _Optional[int] = ..., upper: _Optional[int] = ...) -> None: ...

class Aggregate(_message.Message):
    __slots__ = ("function", "attribute", "op", "value", "upper")
    class Function(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FUNCTION_UNSPECIFIED: _ClassVar[Aggregate.Function]
        SUM: _ClassVar[Aggregate.Function]
        AVERAGE: _ClassVar[Aggregate.Function]
        MINIMUM: _ClassVar[Aggregate.Function]
        MAXIMUM: _ClassVar[Aggregate.Function]
        DISTINCT: _ClassVar[Aggregate.Function]
        ACTIVE_DAYS: _ClassVar[Aggregate.Function]
    FUNCTION_UNSPECIFIED: Aggregate.Function
    SUM: Aggregate.Function
    AVERAGE: Aggregate.Function
    MINIMUM: Aggregate.Function
    MAXIMUM: Aggregate.Function
    DISTINCT: Aggregate.Function
    ACTIVE_DAYS: Aggregate.Function
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    function: Aggregate.Function
    attribute: str
    op: Count.Op
    value: float
    upper: float
    def __init__(self, function: _Optional[_Union[Aggregate.Function, str]] = ..., attribute: _Optional[str] = ..., op: _Optional[_Union[Count.Op, str]] = ..., value: _Optional[float] = ..., upper: _Optional[float] = ...) -> None: ...

class ProfileRule(_message.Message):
    __slots__ = ("where",)
    WHERE_FIELD_NUMBER: _ClassVar[int]
    where: Condition
    def __init__(self, where: _Optional[_Union[Condition, _Mapping]] = ...) -> None: ...

class CohortRule(_message.Message):
    __slots__ = ("cohort_id",)
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    cohort_id: str
    def __init__(self, cohort_id: _Optional[str] = ...) -> None: ...

class Sequence(_message.Message):
    __slots__ = ("steps", "within", "when")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    WITHIN_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    within: Span
    when: Window
    def __init__(self, steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., within: _Optional[_Union[Span, _Mapping]] = ..., when: _Optional[_Union[Window, _Mapping]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("event_type", "where")
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    event_type: str
    where: Condition
    def __init__(self, event_type: _Optional[str] = ..., where: _Optional[_Union[Condition, _Mapping]] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("all", "any", "negation", "test")
    ALL_FIELD_NUMBER: _ClassVar[int]
    ANY_FIELD_NUMBER: _ClassVar[int]
    NEGATION_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    all: AllCondition
    any: AnyCondition
    negation: NotCondition
    test: Test
    def __init__(self, all: _Optional[_Union[AllCondition, _Mapping]] = ..., any: _Optional[_Union[AnyCondition, _Mapping]] = ..., negation: _Optional[_Union[NotCondition, _Mapping]] = ..., test: _Optional[_Union[Test, _Mapping]] = ...) -> None: ...

class AllCondition(_message.Message):
    __slots__ = ("conditions",)
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    def __init__(self, conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ...) -> None: ...

class AnyCondition(_message.Message):
    __slots__ = ("conditions",)
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    def __init__(self, conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ...) -> None: ...

class NotCondition(_message.Message):
    __slots__ = ("condition",)
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    condition: Condition
    def __init__(self, condition: _Optional[_Union[Condition, _Mapping]] = ...) -> None: ...

class Test(_message.Message):
    __slots__ = ("attribute", "op", "values", "ignore_case")
    class Op(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OP_UNSPECIFIED: _ClassVar[Test.Op]
        EQUALS: _ClassVar[Test.Op]
        NOT_EQUALS: _ClassVar[Test.Op]
        IN: _ClassVar[Test.Op]
        NOT_IN: _ClassVar[Test.Op]
        CONTAINS: _ClassVar[Test.Op]
        NOT_CONTAINS: _ClassVar[Test.Op]
        STARTS_WITH: _ClassVar[Test.Op]
        ENDS_WITH: _ClassVar[Test.Op]
        MATCHES: _ClassVar[Test.Op]
        GREATER_THAN: _ClassVar[Test.Op]
        AT_LEAST: _ClassVar[Test.Op]
        LESS_THAN: _ClassVar[Test.Op]
        AT_MOST: _ClassVar[Test.Op]
        BETWEEN: _ClassVar[Test.Op]
        IS_SET: _ClassVar[Test.Op]
        IS_NOT_SET: _ClassVar[Test.Op]
    OP_UNSPECIFIED: Test.Op
    EQUALS: Test.Op
    NOT_EQUALS: Test.Op
    IN: Test.Op
    NOT_IN: Test.Op
    CONTAINS: Test.Op
    NOT_CONTAINS: Test.Op
    STARTS_WITH: Test.Op
    ENDS_WITH: Test.Op
    MATCHES: Test.Op
    GREATER_THAN: Test.Op
    AT_LEAST: Test.Op
    LESS_THAN: Test.Op
    AT_MOST: Test.Op
    BETWEEN: Test.Op
    IS_SET: Test.Op
    IS_NOT_SET: Test.Op
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CASE_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    op: Test.Op
    values: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Value]
    ignore_case: bool
    def __init__(self, attribute: _Optional[str] = ..., op: _Optional[_Union[Test.Op, str]] = ..., values: _Optional[_Iterable[_Union[_struct_pb2.Value, _Mapping]]] = ..., ignore_case: _Optional[bool] = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("amount", "unit")
    class Unit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNIT_UNSPECIFIED: _ClassVar[Span.Unit]
        MINUTE: _ClassVar[Span.Unit]
        HOUR: _ClassVar[Span.Unit]
        DAY: _ClassVar[Span.Unit]
        WEEK: _ClassVar[Span.Unit]
        MONTH: _ClassVar[Span.Unit]
    UNIT_UNSPECIFIED: Span.Unit
    MINUTE: Span.Unit
    HOUR: Span.Unit
    DAY: Span.Unit
    WEEK: Span.Unit
    MONTH: Span.Unit
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    amount: int
    unit: Span.Unit
    def __init__(self, amount: _Optional[int] = ..., unit: _Optional[_Union[Span.Unit, str]] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("last", "between", "days_ago")
    LAST_FIELD_NUMBER: _ClassVar[int]
    BETWEEN_FIELD_NUMBER: _ClassVar[int]
    DAYS_AGO_FIELD_NUMBER: _ClassVar[int]
    last: Span
    between: Between
    days_ago: DaysAgo
    def __init__(self, last: _Optional[_Union[Span, _Mapping]] = ..., between: _Optional[_Union[Between, _Mapping]] = ..., days_ago: _Optional[_Union[DaysAgo, _Mapping]] = ...) -> None: ...

class Between(_message.Message):
    __slots__ = ("start", "to")
    START_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    start: str
    to: str
    def __init__(self, start: _Optional[str] = ..., to: _Optional[str] = ...) -> None: ...

class DaysAgo(_message.Message):
    __slots__ = ("start", "to")
    START_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    start: int
    to: int
    def __init__(self, start: _Optional[int] = ..., to: _Optional[int] = ...) -> None: ...
