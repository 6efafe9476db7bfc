"""What does a client send? Events by column, checked but not yet encoded.

Neighbours: services/ingest makes these from requests; `libs.events.writer` encodes them into blocks.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Scalar = str | float | bool
"""A value of an attribute. Numbers are finite float64."""


class Kind(IntEnum):
    """The kinds of value. A test only ever matches values of its own kind."""

    STRING = 1
    NUMBER = 2
    BOOL = 3


def tell_apart(values: Iterable[T]) -> tuple[NDArray[np.uint32], list[T]]:
    """Return the different values in order of first use, and each value's place among them; 40 to 150 ns each."""
    numbers: defaultdict[T, int] = defaultdict(count().__next__)  # the next number, without a Python call
    codes = np.fromiter(map(numbers.__getitem__, values), np.uint32)
    return codes, list(numbers)


@dataclass(frozen=True, slots=True)
class Strings:
    """A string a row, of which many are equal: row i has `distinct[codes[i]]`; `codes` is (rows,) uint32.

    So a string is checked and numbered once, however often it comes. `distinct` may hold strings that no row
    has, and one string twice.
    """

    codes: NDArray[np.uint32]
    distinct: list[str]

    @classmethod
    def of(cls, strings: Iterable[str]) -> "Strings":
        """Tell the different strings apart, in order of first use."""
        return cls(*tell_apart(strings))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def tolist(self) -> list[str]:
        """Return the string of each row."""
        distinct = self.distinct
        return [distinct[code] for code in self.codes.tolist()]

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Strings":
        """Return the strings of some rows, given as a mask or by their places."""
        return Strings(self.codes[rows], self.distinct)


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one attribute that are of one kind.

    `rows` are the rows that have one, ascending, (k,) uint32, or None for all rows; `values` has one for
    each: strings, (k,) float64 or (k,) bool.
    """

    attribute: str
    kind: Kind
    values: Strings | NDArray[np.float64] | NDArray[np.bool_]
    rows: NDArray[np.uint32] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Events by column. `times` is (rows,) int64 ms; an event id may be "", `event_ids` None."""

    customer_ids: Strings
    event_types: Strings
    times: NDArray[np.int64]
    event_ids: list[str] | None = None
    columns: list[Column] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many events there are."""
        return len(self.customer_ids)


@dataclass(frozen=True, slots=True)
class Upsert:
    """Changes to one customer's profile: an attribute set to None goes, one not named stays."""

    customer_id: str
    data: Mapping[str, Scalar | None]
