"""What is a rule? The tree that a marketer builds, as data: still relative to an as_of, still in user's terms.

    Rule
    ├── All, Any, Not        sets of customers combined
    ├── Did                  behaviour: events of a type, a condition on one event, a window, a count
    └── Profile              a condition on the customer's profile

Conditions are those of `libs.index.condition`. Neighbours: `translate` reads rules off the wire and refuses
bad ones, `plan` resolves them for an as_of.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from libs.index.condition import Condition


class Unit(Enum):
    """What a span is counted in. Days and longer are calendar days in a window, shorter ones exact."""

    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


@dataclass(frozen=True, slots=True)
class Last:
    """The calendar days, or the exact span, that end with as_of."""

    amount: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day, counted from 1970-01-01 in the project's time zone."""

    number: int


@dataclass(frozen=True, slots=True)
class Instant:
    """An instant, ms since 1970."""

    milliseconds: int


Bound: TypeAlias = Day | Instant | None
"""An end of a window: a day is in on both sides, an instant in as the first and out as the last."""


@dataclass(frozen=True, slots=True)
class Between:
    """From one fixed end to another; None is open."""

    first: Bound
    last: Bound


Window: TypeAlias = Last | Between | None
"""When events must have happened; None: any time up to as_of."""


@dataclass(frozen=True, slots=True)
class Count:
    """A number of events from `minimum` to `maximum`, both in; None: no upper end."""

    minimum: int = 1
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class Did:
    """The customer's events of a type that satisfy `where` (None: all) in `when` are as many as `count` says."""

    event_type: str
    where: Condition | None = None
    when: Window = None
    count: Count = Count()


@dataclass(frozen=True, slots=True)
class Profile:
    """The customer's profile satisfies `where` (None: true)."""

    where: Condition | None


@dataclass(frozen=True, slots=True)
class All:
    """Every rule holds."""

    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Some rule holds."""

    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The rule does not hold."""

    rule: "Rule"


Rule: TypeAlias = All | Any | Not | Did | Profile
