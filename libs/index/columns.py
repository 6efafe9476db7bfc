"""How are the values of a segment stored, and tested? Coded columns: small integers in the order of the values.

A string or number is its place among the segment's own distinct values, from 1; 0 is none. So a range of
numbers is a range of codes, a test reads one, two or four bytes a row, and is exact. Strings have postings
besides: the rows of each value in time order, slices of one array, no object a value. Numbers of which most are
distinct stay as they are.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Kind
from libs.index import kernels
from libs.index.condition import (
    MISSING,
    BoundTest,
    Mask,
    NumberRange,
    OneOf,
    Present,
    bools_accepted,
    equals_any,
    numbers_accepted,
)

RAW_SHARE = 4
"""Numbers are coded where there are at most rows / this distinct ones: then codes and values take less."""
Interval: TypeAlias = tuple[int, int]
"""The codes first … last."""
Selection: TypeAlias = slice | NDArray[Any]
EVERY_ROW = slice(None)
Arrays: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class StringColumn:
    """The strings of one attribute.

    `codes` is (rows,), the smallest unsigned dtype; code c is the dictionary number `values[c - 1]`, ascending,
    (k,) uint32. The rows with code c are `rows[starts[c - 1]:starts[c]]`, in time order.
    """

    codes: NDArray[Any]
    values: NDArray[np.uint32]
    starts: NDArray[Any]
    rows: NDArray[np.uint32]

    def code(self, value: int) -> int:
        """Return the code of a dictionary number, 0 where no row has it."""
        place = int(np.searchsorted(self.values, np.uint32(value)))
        return place + 1 if place < len(self.values) and self.values[place] == value else 0

    def codes_of(self, numbers: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the codes of those of some dictionary numbers, ascending, that a row has, ascending, (n,)."""
        places = np.searchsorted(self.values, numbers)
        inside = np.flatnonzero(places < len(self.values))
        places = places[inside]
        return np.asarray(places[self.values[places] == numbers[inside]] + 1)

    def rows_of(self, code: int) -> NDArray[np.uint32]:
        """Return the rows of a code ≥ 1, in time order."""
        return self.rows[self.starts[code - 1] : self.starts[code]]

    def rows_of_all(self, codes: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return the rows of some codes ≥ 1, (n,): those of each in time order."""
        first = self.starts[codes - 1].astype(np.int64)
        sizes = self.starts[codes] - first
        ends = np.cumsum(sizes)
        places = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(first - (ends - sizes), sizes)
        return np.asarray(self.rows[places])

    def sizes(self) -> NDArray[np.int64]:
        """Return how many rows each value has, (k,) int64."""
        return np.diff(self.starts).astype(np.int64)

    def accepted(self, test: BoundTest, where: Selection) -> Mask:
        """Say which rows have a string that a test accepts, (n,) bool."""
        codes = self.codes[where]
        if isinstance(test.accepts, Present):
            return np.asarray(codes != 0)
        wanted = self.codes_of(test.codes)
        if len(wanted) < 2:
            return (
                np.asarray(codes == codes.dtype.type(wanted[0]))
                if len(wanted)
                else np.zeros(len(codes), np.bool_)
            )
        among = np.zeros(len(self.values) + 1, np.bool_)
        among[wanted] = True
        return among_codes(codes, among)

    def decoded(self, where: Selection = EVERY_ROW) -> NDArray[Any]:
        """Return the dictionary numbers of some rows, `MISSING` for none, (n,) uint32."""
        numbers: NDArray[Any] = np.concatenate(([MISSING], self.values))
        return np.asarray(numbers[self.codes[where]])


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """The numbers of one attribute: code c is `values[c - 1]`, ascending, (k,) float64. Without `values`, `codes`
    are the numbers themselves, NaN for none. `complete`: every row has one.
    """

    codes: NDArray[Any]
    values: NDArray[np.float64] | None
    complete: bool

    def interval(self, accepts: NumberRange) -> Interval:
        """Return the codes of a range of numbers; the last before the first where there are none."""
        assert self.values is not None
        low, high = np.float64(accepts.lower), np.float64(accepts.upper)
        first = int(np.searchsorted(self.values, low, "right" if accepts.lower_open else "left"))
        last = int(np.searchsorted(self.values, high, "left" if accepts.upper_open else "right"))
        return first + 1, last

    def intervals(self, test: BoundTest) -> list[Interval]:
        """Return the codes that a test accepts, as intervals that share none."""
        match test.accepts:
            case NumberRange():
                found = [self.interval(test.accepts)]
            case OneOf(numbers=numbers):
                found = [self.interval(NumberRange(number, number)) for number in sorted(numbers)]
            case Present():
                found = [(1, 0 if self.values is None else len(self.values))]
        return [(first, last) for first, last in found if first <= last]

    def within(self, interval: Interval, where: Selection) -> Mask:
        """Say which rows have a code in an interval, (n,) bool."""
        codes = self.codes[where]
        first, last = interval
        assert self.values is not None
        if last < first:
            return np.zeros(len(codes), np.bool_)
        dtype = codes.dtype.type  # a scalar of another dtype would have the column converted
        if last == len(self.values):
            return np.asarray(codes >= dtype(first))
        if first == 1 and self.complete:
            return np.asarray(codes <= dtype(last))
        return np.asarray((codes - dtype(first)) <= dtype(last - first))

    def accepted(self, test: BoundTest, where: Selection) -> Mask:
        """Say which rows have a number that a test accepts, (n,) bool."""
        if self.values is None:
            return numbers_accepted(test.accepts, self.codes[where])
        match test.accepts:
            case NumberRange():
                return self.within(self.interval(test.accepts), where)
            case OneOf():
                codes = self.codes[where]
                return equals_any(codes, np.array([first for first, _ in self.intervals(test)], codes.dtype))
            case Present():
                return np.asarray(self.codes[where] != 0)

    def decoded(self, where: Selection = EVERY_ROW) -> NDArray[Any]:
        """Return the numbers of some rows, NaN for none, (n,) float64."""
        codes = self.codes[where]
        return codes if self.values is None else np.concatenate(([np.nan], self.values))[codes]


@dataclass(frozen=True, slots=True)
class BoolColumn:
    """The booleans of one attribute, (rows,) uint8 as in `libs.index.condition`."""

    codes: NDArray[np.uint8]

    def accepted(self, test: BoundTest, where: Selection) -> Mask:
        """Say which rows have a boolean that a test accepts, (n,) bool."""
        codes = self.codes[where]
        if isinstance(test.accepts, Present):
            return np.asarray(codes != 0)
        return equals_any(codes, bools_accepted(test.accepts))

    def decoded(self, where: Selection = EVERY_ROW) -> NDArray[Any]:
        """Return the booleans of some rows as they are."""
        return self.codes[where]


def among_codes(codes: NDArray[Any], table: Mask) -> Mask:
    """Say which codes, (n,) of an unsigned dtype, are true in a table that has a place for every code."""
    found = np.empty(len(codes), np.bool_)
    look_up = (kernels.look_up_8, kernels.look_up_16, kernels.look_up)[codes.itemsize // 2]
    look_up(codes, table, found)
    return found


Column: TypeAlias = StringColumn | NumberColumn | BoolColumn


def code_strings(column: NDArray[np.uint32]) -> StringColumn:
    """Code a column of dictionary numbers, (rows,) uint32.

    Sorting (value, row) pairs as one uint64 beats a stable sort of the values.
    """
    rows = np.flatnonzero(column != MISSING)
    pairs = np.sort(column[rows].astype(np.uint64) << np.uint64(32) | rows.astype(np.uint64))
    by_value = (pairs >> np.uint64(32)).astype(np.uint32)
    by_row = pairs.astype(np.uint32)
    starts = _starts(by_value)
    values = by_value[starts[:-1]]
    codes = np.zeros(len(column), np.min_scalar_type(len(values)))
    codes[by_row] = np.repeat(np.arange(1, len(values) + 1).astype(codes.dtype), np.diff(starts))
    return StringColumn(codes, values, starts.astype(np.uint32), by_row)


def code_numbers(column: NDArray[np.float64]) -> NumberColumn:
    """Code a column of numbers, (rows,) float64, NaN for none."""
    present = ~np.isnan(column)
    complete = bool(present.all())
    values, places = np.unique(column if complete else column[present], return_inverse=True)
    if len(values) * RAW_SHARE > len(column):
        return NumberColumn(column, None, complete)
    dtype = np.min_scalar_type(len(values))
    codes = np.zeros(len(column), dtype)
    codes[present] = places.astype(dtype) + dtype.type(1)
    return NumberColumn(codes, values, complete)


def _starts(ordered: NDArray[Any]) -> NDArray[np.int64]:
    """Return where each value of an ordered array starts, and its length, (distinct + 1,)."""
    if not len(ordered):
        return np.zeros(1, np.int64)
    return np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, [len(ordered)]))


def write_column(column: Column, name: str) -> tuple[Arrays, bool]:
    """Return the arrays of a column, named after it, and whether it is complete."""
    match column:
        case StringColumn(codes, values, starts, rows):
            return {
                f"{name}.codes": codes,
                f"{name}.values": values,
                f"{name}.starts": starts,
                f"{name}.rows": rows,
            }, True
        case NumberColumn(codes, None, complete):
            return {f"{name}.codes": codes}, complete
        case NumberColumn(codes, numbers, complete):
            return {f"{name}.codes": codes, f"{name}.values": np.asarray(numbers)}, complete
        case BoolColumn(codes):
            return {f"{name}.codes": codes}, True


def read_column(kind: Kind, name: str, arrays: Arrays, complete: bool) -> Column:
    """Return a column from the arrays that `write_column` gave."""
    codes = arrays[f"{name}.codes"]
    if kind is Kind.STRING:
        return StringColumn(codes, arrays[f"{name}.values"], arrays[f"{name}.starts"], arrays[f"{name}.rows"])
    if kind is Kind.NUMBER:
        return NumberColumn(codes, arrays.get(f"{name}.values"), complete)
    return BoolColumn(codes)
