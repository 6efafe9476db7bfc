"""What must one event, or one profile, satisfy? Conditions as data, and their evaluation on columns.

    Condition
    ├── AllOf, AnyOf, NotOf       logic; of no conditions AllOf is true, AnyOf false
    └── Test                      one attribute; `negated` is the exact complement
            accepts: OneOf        equal to one of some values, kind included
                     NumberRange  a number between two ends
                     Present      there at all

Logic is two-valued: a test of a missing attribute is false, its complement true. Conditions know names and
strings; `bind` looks them up once, and `mask` evaluates on any columns in numpy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Kind
from libs.events.dictionary import Dictionary

MISSING = np.uint32(0xFFFFFFFF)
"""In a column of strings: no value. Numbers use NaN, which is rejected at the door; booleans 0."""
FALSE, TRUE = np.uint8(1), np.uint8(2)

Mask = NDArray[np.bool_]
ColumnOf = Callable[[int, Kind], NDArray[Any] | None]
"""Returns the column of an attribute's number and a kind, None where no row has a value."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """Accepts these values, and no other kind's."""

    strings: frozenset[str] = frozenset()
    numbers: frozenset[float] = frozenset()
    bools: frozenset[bool] = frozenset()


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Accepts numbers from `lower` to `upper`; an open end is not in."""

    lower: float = float("-inf")
    upper: float = float("inf")
    lower_open: bool = False
    upper_open: bool = False


@dataclass(frozen=True, slots=True)
class Present:
    """Accepts every value."""


@dataclass(frozen=True, slots=True)
class Test:
    """One attribute has a value that is accepted, or, `negated`, it does not."""

    attribute: str
    accepts: OneOf | NumberRange | Present
    negated: bool = False


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


@dataclass(frozen=True, slots=True)
class BoundTest:
    """A test with its strings looked up. `attribute` is None where the name was never seen.

    `codes` are the dictionary numbers accepted, ascending, (k,) uint32.
    """

    attribute: int | None
    accepts: OneOf | NumberRange | Present
    codes: NDArray[np.uint32]
    negated: bool

    @property
    def only_codes(self) -> bool:
        """Whether it accepts given strings and nothing else, so that postings answer it."""
        accepts = self.accepts
        return isinstance(accepts, OneOf) and not (self.negated or accepts.numbers or accepts.bools)


@dataclass(frozen=True, slots=True)
class BoundAll:
    """Every condition holds."""

    conditions: tuple["Bound", ...]


@dataclass(frozen=True, slots=True)
class BoundAny:
    """Some condition holds."""

    conditions: tuple["Bound", ...]


@dataclass(frozen=True, slots=True)
class BoundNot:
    """The condition does not hold."""

    condition: "Bound"


Bound: TypeAlias = BoundTest | BoundAll | BoundAny | BoundNot


def bind(condition: Condition, names: Dictionary, values: Dictionary) -> Bound:
    """Look up the names and strings of a condition. What was never seen matches nothing."""
    match condition:
        case AllOf(conditions):
            return BoundAll(tuple(bind(each, names, values) for each in conditions))
        case AnyOf(conditions):
            return BoundAny(tuple(bind(each, names, values) for each in conditions))
        case NotOf(inner):
            return BoundNot(bind(inner, names, values))
        case Test(attribute, accepts, negated):
            strings = accepts.strings if isinstance(accepts, OneOf) else ()
            codes = sorted(code for code in map(values.find, strings) if code is not None)
            return BoundTest(names.find(attribute), accepts, np.array(codes, np.uint32), negated)


def mask(condition: Bound, column: ColumnOf, rows: int) -> Mask:
    """Say for each row whether a condition holds, (rows,) bool. The columns have as many rows."""
    match condition:
        case BoundAll(conditions):
            return _fold(np.logical_and, True, conditions, column, rows)
        case BoundAny(conditions):
            return _fold(np.logical_or, False, conditions, column, rows)
        case BoundNot(inner):
            return ~mask(inner, column, rows)
        case BoundTest(negated=negated):
            accepted = _accepted(condition, column, rows)
            return ~accepted if negated else accepted


def _fold(combine: Any, empty: bool, conditions: tuple[Bound, ...], column: ColumnOf, rows: int) -> Mask:
    if not conditions:
        return np.full(rows, empty)
    result = mask(conditions[0], column, rows)
    for each in conditions[1:]:
        combine(result, mask(each, column, rows), out=result)
    return result


def _accepted(test: BoundTest, column: ColumnOf, rows: int) -> Mask:
    found = np.zeros(rows, np.bool_)
    if test.attribute is None:
        return found
    strings = column(test.attribute, Kind.STRING)
    numbers = column(test.attribute, Kind.NUMBER)
    bools = column(test.attribute, Kind.BOOL)
    accepts = test.accepts
    match accepts:
        case Present():
            if strings is not None:
                found |= strings != MISSING
            if numbers is not None:
                found |= ~np.isnan(numbers)
            if bools is not None:
                found |= bools != 0
        case NumberRange() if numbers is not None:
            found = numbers > accepts.lower if accepts.lower_open else numbers >= accepts.lower
            found &= numbers < accepts.upper if accepts.upper_open else numbers <= accepts.upper
        case OneOf():
            if strings is not None and len(test.codes):
                found |= equals_any(strings, test.codes)
            if numbers is not None and accepts.numbers:
                found |= equals_any(numbers, np.array(sorted(accepts.numbers), np.float64))
            if bools is not None and accepts.bools:
                found |= equals_any(bools, np.array([TRUE if b else FALSE for b in accepts.bools], np.uint8))
    return found


def equals_any(column: NDArray[Any], values: NDArray[Any]) -> Mask:
    """Say for each entry of a column whether it is one of some values of the same dtype."""
    if len(values) == 1:
        return np.asarray(column == values[0])
    return np.isin(column, values)
