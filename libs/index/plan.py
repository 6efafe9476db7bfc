"""What does an engine evaluate? A rule with all that is relative resolved: plain data, for any shard.

    Plan
    ├── All, Any, Not      intersection, union, complement within the universe
    ├── Did                events of a type that satisfy a condition, in a span of time, counted
    ├── Holds              the customer's profile satisfies a condition
    └── Cohort             the plan of a saved cohort, one node for whoever shows nodes

Names and strings stand as such: their numbers are an engine's own affair.
"""

from dataclasses import dataclass
from typing import TypeAlias

from libs.index.condition import Condition


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
class Holds:
    """The profile satisfies `where`; None is true of every customer."""

    where: Condition | None


@dataclass(frozen=True, slots=True)
class Cohort:
    """The members of a saved cohort: those of its plan. Where cohorts lead to it twice it is one object."""

    plan: "Plan"


Plan: TypeAlias = All | Any | Not | Did | Holds | Cohort
EVER = -(1 << 62)
"""Before every event."""
