"""What is a condition? What one event, or one profile, must satisfy: as people say it, nothing looked up.

    Condition
    ├── AllOf, AnyOf, NotOf    logic; of no conditions AllOf is true, AnyOf false
    └── Test                   one attribute, an operator, the values it asks for

Neighbours: `translate` reads conditions off the wire and refuses bad ones, `plan` turns them into those that
an engine evaluates (`libs.index.condition`).
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

Value: TypeAlias = str | float | bool
"""What an attribute is compared with. A number is a float, never an int, and finite."""


class Op(Enum):
    """How an attribute is tested, by the names of the wire."""

    EQUALS = "EQUALS"
    NOT_EQUALS = "NOT_EQUALS"
    IN = "IN"
    NOT_IN = "NOT_IN"
    CONTAINS = "CONTAINS"
    NOT_CONTAINS = "NOT_CONTAINS"
    STARTS_WITH = "STARTS_WITH"
    ENDS_WITH = "ENDS_WITH"
    MATCHES = "MATCHES"
    GREATER_THAN = "GREATER_THAN"
    AT_LEAST = "AT_LEAST"
    LESS_THAN = "LESS_THAN"
    AT_MOST = "AT_MOST"
    BETWEEN = "BETWEEN"
    IS_SET = "IS_SET"
    IS_NOT_SET = "IS_NOT_SET"


@dataclass(frozen=True, slots=True)
class Test:
    """A test of one attribute. `values` are in the order given, as many and of the kinds that `op` asks for.

    Dates of the comparisons are strings as people wrote them; a bare one is a day of the project's time zone.
    """

    __test__ = False  # for pytest: no test of ours

    attribute: str
    op: Op
    values: tuple[Value, ...] = ()
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition holds."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some condition holds."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class NotOf:
    """The condition does not hold."""

    condition: "Condition"


Condition: TypeAlias = Test | AllOf | AnyOf | NotOf
