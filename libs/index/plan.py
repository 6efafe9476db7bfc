"""What does an engine evaluate? A rule with all that is relative resolved: plain data, for any shard.

    Plan
    ├── All, Any, Not      intersection, union, complement within the universe
    ├── Did                events of a type that satisfy a condition, in a span of time, counted
    ├── First              the earliest of those events lies in a span of time
    ├── Aggregated         a figure over those events
    ├── Sequence           events of several types in order
    ├── Holds              the customer's profile satisfies a condition
    ├── Members            customers who are listed one by one
    └── Cohort             the plan of a saved cohort, one node for whoever shows nodes

Names and strings stand as such: their numbers are an engine's own affair.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from pyroaring import BitMap

from libs.index.condition import Condition, NumberRange


@dataclass(frozen=True, slots=True)
class All:
    """Every plan holds; of none, the universe."""

    plans: tuple["Plan", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Some plan holds; of none, nobody."""

    plans: tuple["Plan", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The universe less the plan."""

    plan: "Plan"


@dataclass(frozen=True, slots=True)
class Did:
    """`minimum` … `maximum` (None: any number) events with first ≤ time < end, ms, that satisfy `where`.

    With a minimum of 0, customers of the universe who have none are in as well.
    """

    event_type: str
    where: Condition | None
    first: int
    end: int
    minimum: int = 1
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class First:
    """As `did`, but of all a customer's events up to as_of that satisfy `where` only the earliest counts.

    It is left out where it is not in the span. Of several at one instant, the first to arrive is the earliest.
    """

    did: Did


class Figure(StrEnum):
    """What is computed over a customer's events."""

    SUM = "SUM"
    AVERAGE = "AVERAGE"
    MINIMUM = "MINIMUM"
    MAXIMUM = "MAXIMUM"
    DISTINCT = "DISTINCT"
    ACTIVE_DAYS = "ACTIVE_DAYS"


@dataclass(frozen=True, slots=True)
class Aggregated:
    """The events of `of` pass its count, and a figure over them is accepted.

    Events without the attribute (None: ACTIVE_DAYS, which needs none) are left out of the figure. Who has no
    event left is not in, whatever is accepted.
    """

    of: Did | First
    figure: Figure
    attribute: str | None
    accepts: NumberRange


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sequence."""

    event_type: str
    where: Condition | None


@dataclass(frozen=True, slots=True)
class Sequence:
    """An event for each step, at strictly later and later times: first ≤ the first one's time < end, ms.

    The last is at most `within` ms behind the first; None: any time.
    """

    steps: tuple[Step, ...]
    first: int
    end: int
    within: int | None


@dataclass(frozen=True, slots=True)
class Holds:
    """The profile satisfies `where`; None is true of every customer."""

    where: Condition | None


@dataclass(frozen=True, slots=True)
class Members:
    """Those of these customers, by the numbers of the engine that evaluates, who are in the universe."""

    customers: BitMap


@dataclass(frozen=True, slots=True)
class Cohort:
    """The members of a saved cohort: those of its plan. Where cohorts lead to it twice it is one object."""

    plan: "Plan"


Plan: TypeAlias = All | Any | Not | Did | First | Aggregated | Sequence | Holds | Members | Cohort
EVER = -(1 << 62)
"""Before every event."""
