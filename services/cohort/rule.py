"""What is a rule? The tree that a marketer builds, as data: still relative to an as_of, still in user's terms.

    Rule
    ├── All, Any, Not        sets of customers combined
    ├── Did                  behaviour: events of a type, a condition on one event, a window, a count, a figure
    ├── Profile              a condition on the customer's profile
    ├── InCohort             membership in a saved cohort
    └── Sequence             several things done in order

A rule says all that its message says, so that it can be written back (`text.format`): what was left out is
None. Conditions are those of `condition`. Neighbours: `translate` reads rules off the wire and refuses bad
ones, `plan` resolves them for an as_of.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from services.cohort.condition import Condition


class Unit(Enum):
    """What a span is counted in. In a window, days and longer are calendar days; else all are exact."""

    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


class Comparison(Enum):
    """How a number is compared with `value`, or for BETWEEN with `value` and `upper`, both in."""

    AT_LEAST = "AT_LEAST"
    AT_MOST = "AT_MOST"
    EXACTLY = "EXACTLY"
    MORE_THAN = "MORE_THAN"
    LESS_THAN = "LESS_THAN"
    BETWEEN = "BETWEEN"


class Function(Enum):
    """What is computed over a customer's events."""

    SUM = "SUM"
    AVERAGE = "AVERAGE"
    MINIMUM = "MINIMUM"
    MAXIMUM = "MAXIMUM"
    DISTINCT = "DISTINCT"
    ACTIVE_DAYS = "ACTIVE_DAYS"


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time: exactly so long (a day is 24 hours)."""

    amount: int
    unit: Unit


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
    """An instant, ms since 1970; `written` is how it was written: one instant has many spellings."""

    milliseconds: int
    written: str


Bound: TypeAlias = Day | Instant | None
"""An end of a window: a day is in on both sides, an instant in as the first and out as the last."""


@dataclass(frozen=True, slots=True)
class Between:
    """From one fixed end to another; None is open, at one end at most."""

    first: Bound
    last: Bound


@dataclass(frozen=True, slots=True)
class DaysAgo:
    """The calendar days from `first` to `last` days before the day of as_of, both in; first ≥ last ≥ 0."""

    first: int
    last: int


Window: TypeAlias = Last | Between | DaysAgo | None
"""When events must have happened; None: any time up to as_of."""


@dataclass(frozen=True, slots=True)
class Count:
    """A test of a number of events. `upper` goes with BETWEEN alone."""

    op: Comparison
    value: int
    upper: int | None = None

    @property
    def minimum(self) -> int:
        """The smallest number that passes."""
        if self.op in (Comparison.AT_MOST, Comparison.LESS_THAN):
            return 0
        return self.value + 1 if self.op is Comparison.MORE_THAN else self.value

    @property
    def maximum(self) -> int | None:
        """The largest number that passes, None where there is no end; −1 where none passes."""
        if self.op in (Comparison.AT_LEAST, Comparison.MORE_THAN):
            return None
        if self.op is Comparison.BETWEEN:
            return self.upper
        return self.value - 1 if self.op is Comparison.LESS_THAN else self.value


ONCE = Count(Comparison.AT_LEAST, 1)
"""What is asked of the number of events where a rule says nothing."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A test of a figure over a customer's events. `attribute` is None for ACTIVE_DAYS, and only there."""

    function: Function
    attribute: str | None
    op: Comparison
    value: float
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class Did:
    """The customer's events of a type that satisfy `where` (None: all) in `when` pass `count` and `aggregate`.

    `count` None is ONCE. With `first_time` only the customer's earliest such event of all is looked at, and
    only if it lies in `when`.
    """

    event_type: str
    where: Condition | None = None
    when: Window = None
    count: Count | None = None
    aggregate: Aggregate | None = None
    first_time: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """The customer's profile satisfies `where` (None: true)."""

    where: Condition | None


@dataclass(frozen=True, slots=True)
class InCohort:
    """The customer is a member of the saved cohort of this id."""

    cohort_id: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sequence: an event of a type that satisfies `where` (None: any)."""

    event_type: str
    where: Condition | None = None


@dataclass(frozen=True, slots=True)
class Sequence:
    """The steps, 2 to 8, happened in order, the first in `when`, the last at most `within` after it."""

    steps: tuple[Step, ...]
    within: Span | None = None
    when: Window = None


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


Rule: TypeAlias = All | Any | Not | Did | Profile | InCohort | Sequence
