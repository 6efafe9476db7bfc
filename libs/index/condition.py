"""What must one event, or one profile, satisfy? Conditions as data, and their evaluation on columns.

    Condition
    ├── AllOf, AnyOf, NotOf       logic; of no conditions AllOf is true, AnyOf false
    └── Test                      one attribute; `negated` is the exact complement
            accepts: OneOf        equal to one of some values, kind included
                     NumberRange  a number between two ends
                     Present      there at all
                     Like, DateRange  a string that passes a test of strings (`libs.index.strings`)

Logic is two-valued: a test of a missing attribute is false, its complement true. Conditions know names and
strings; `bind` looks them up once, a test of strings becoming the numbers of those that pass, and `mask`
evaluates on any columns in numpy.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Kind
from libs.events.dictionary import Dictionary
from libs.index import kernels
from libs.index.strings import DateRange, Like, StringTest

MISSING = np.uint32(0xFFFFFFFF)
"""In a column of strings: no value. Numbers use NaN, which is rejected at the door; booleans 0."""
FALSE, TRUE = np.uint8(1), np.uint8(2)

Mask = NDArray[np.bool_]


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
    accepts: OneOf | NumberRange | Present | Like | DateRange
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

    `codes` are the dictionary numbers accepted, ascending, (k,) uint32. A test of strings is a `OneOf` here.
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

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of value it accepts some of."""
        accepts = self.accepts
        if isinstance(accepts, Present):
            return (Kind.STRING, Kind.NUMBER, Kind.BOOL)
        if isinstance(accepts, NumberRange):
            return (Kind.NUMBER,)
        asked = ((Kind.STRING, len(self.codes)), (Kind.NUMBER, accepts.numbers), (Kind.BOOL, accepts.bools))
        return tuple(kind for kind, values in asked if values)


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


Passing: TypeAlias = Callable[[int, StringTest], NDArray[np.uint32]]
"""Returns the numbers, ascending, (n,), of an attribute's strings that pass a test."""


def bind(condition: Condition, names: Dictionary, values: Dictionary, passing: Passing) -> Bound:
    """Look up the names and strings of a condition. What was never seen matches nothing."""
    match condition:
        case AllOf(conditions):
            return BoundAll(tuple(bind(each, names, values, passing) for each in conditions))
        case AnyOf(conditions):
            return BoundAny(tuple(bind(each, names, values, passing) for each in conditions))
        case NotOf(inner):
            return BoundNot(bind(inner, names, values, passing))
        case Test(attribute, accepts, negated):
            number = names.find(attribute)
            if isinstance(accepts, Like | DateRange):
                codes = np.empty(0, np.uint32) if number is None else passing(number, accepts)
                return BoundTest(number, OneOf(), codes, negated)
            strings = accepts.strings if isinstance(accepts, OneOf) else ()
            found = sorted(code for code in map(values.find, strings) if code is not None)
            return BoundTest(number, accepts, np.array(found, np.uint32), negated)


class Columns(Protocol):
    """Some rows by column, as `mask` asks for them."""

    def __len__(self) -> int:
        """Return how many rows there are."""

    def accepted(self, attribute: int, kind: Kind, test: BoundTest) -> Mask | None:
        """Say which rows have a value of a kind that a test, not negated, accepts: (rows,) bool, a fresh array.

        None: no row has a value of that kind.
        """


@dataclass(frozen=True, slots=True)
class PlainColumns:
    """Rows whose values stand as such, strings as dictionary numbers; `column` returns one column, (rows,)."""

    rows: int
    column: Callable[[int, Kind], NDArray[Any] | None]

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self.rows

    def accepted(self, attribute: int, kind: Kind, test: BoundTest) -> Mask | None:
        """Say which rows have a value of a kind that a test accepts."""
        column = self.column(attribute, kind)
        if column is None:
            return None
        if kind is Kind.NUMBER:
            return numbers_accepted(test.accepts, column)
        if isinstance(test.accepts, Present):
            return np.asarray(column != (MISSING if kind is Kind.STRING else 0))
        return equals_any(column, test.codes if kind is Kind.STRING else bools_accepted(test.accepts))


def mask(condition: Bound, columns: Columns) -> Mask:
    """Say for each row whether a condition holds, (rows,) bool."""
    match condition:
        case BoundAll(conditions):
            return _fold(np.logical_and, True, conditions, columns)
        case BoundAny(conditions):
            return _fold(np.logical_or, False, conditions, columns)
        case BoundNot(inner):
            return ~mask(inner, columns)
        case BoundTest(negated=negated):
            accepted = _accepted(condition, columns)
            return ~accepted if negated else accepted


def _fold(combine: Any, empty: bool, conditions: tuple[Bound, ...], columns: Columns) -> Mask:
    if not conditions:
        return np.full(len(columns), empty)
    result = mask(conditions[0], columns)
    for each in conditions[1:]:
        combine(result, mask(each, columns), out=result)
    return result


def _accepted(test: BoundTest, columns: Columns) -> Mask:
    found = [] if test.attribute is None else list(_accepted_by_kind(test, test.attribute, columns))
    if not found:
        return np.zeros(len(columns), np.bool_)
    return found[0] if len(found) == 1 else np.logical_or.reduce(found)


def _accepted_by_kind(test: BoundTest, attribute: int, columns: Columns) -> Iterator[Mask]:
    """Yield a fresh mask for each kind of value that the test accepts and some row has."""
    for kind in test.kinds:
        found = columns.accepted(attribute, kind, test)
        if found is not None:
            yield found


def numbers_accepted(accepts: OneOf | NumberRange | Present, numbers: NDArray[np.float64]) -> Mask:
    """Say which numbers, (n,) float64, are accepted, (n,) bool; NaN never is."""
    match accepts:
        case Present():
            return ~np.isnan(numbers)
        case OneOf():
            return equals_any(numbers, np.array(sorted(accepts.numbers), np.float64))
        case NumberRange(lower, upper, lower_open, upper_open):
            found: Mask | None = None
            if lower != -np.inf:
                found = numbers > lower if lower_open else numbers >= lower
            if upper != np.inf:
                below = numbers < upper if upper_open else numbers <= upper
                found = below if found is None else np.logical_and(found, below, out=found)
            return ~np.isnan(numbers) if found is None else found


def bools_accepted(accepts: OneOf | NumberRange | Present) -> NDArray[np.uint8]:
    """Return how the booleans that are accepted stand in a column, (n,) uint8."""
    bools = accepts.bools if isinstance(accepts, OneOf) else ()
    return np.array([TRUE if each else FALSE for each in bools], np.uint8)


def equals_any(column: NDArray[Any], values: NDArray[Any]) -> Mask:
    """Say for each entry of a column whether it is one of some values of the same dtype."""
    if len(values) == 1:
        return np.asarray(column == values[0])
    if column.dtype == np.uint32 and len(values):
        table = np.zeros(int(values.max()) + 2, np.bool_)
        table[values] = True
        passing = np.empty(len(column), np.bool_)
        kernels.look_up(np.ascontiguousarray(column), table, passing)
        return passing
    return np.isin(column, values)
