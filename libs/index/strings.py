"""Which strings does a test accept? Tests that read strings, carried out on the dictionary, never on events.

    Like        a string begins with, ends with, contains or equals one of some, or matches a pattern
    DateRange   a string is a date, between two instants

A string's number never changes and a test is pure, so what was found once holds for good: a test reads each
string once, only those that were seen under the attribute it asks of, and is a set of numbers from then on.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.dictionary import Dictionary
from libs.index import roaring
from libs.instants import parse_date, parse_instant
from libs.patterns import compile_pattern

MAX_TESTS = 64
"""Tests whose strings are remembered: each takes at most two bits a string of the dictionary."""
BEFORE_ALL, BEHIND_ALL = -(1 << 62), 1 << 62
"""Open ends of a range of dates."""


class How(Enum):
    """How a string is compared with those of a test."""

    EQUALS = "EQUALS"
    CONTAINS = "CONTAINS"
    STARTS_WITH = "STARTS_WITH"
    ENDS_WITH = "ENDS_WITH"
    MATCHES = "MATCHES"


@dataclass(frozen=True, slots=True)
class Like:
    """Accepts strings that compare so with one of `values`; for MATCHES that is one pattern, and a legal one.

    `ignore_case` compares case-folded strings, and gives a pattern its flag.
    """

    how: How
    values: tuple[str, ...]
    ignore_case: bool = False

    def test(self) -> Callable[[str], bool]:
        """Return what says whether a string is accepted."""
        if self.how is How.MATCHES:
            search = compile_pattern(self.values[0], ignore_case=self.ignore_case).search
            return lambda string: search(string) is not None
        if not self.ignore_case:
            return _comparison(self.how, self.values)
        compare = _comparison(self.how, tuple(value.casefold() for value in self.values))
        return lambda string: compare(string.casefold())


@dataclass(frozen=True, slots=True)
class DateRange:
    """Accepts strings that are dates: instants first … last, ms, and bare dates first_day … last_day.

    Bare dates are days counted from 1970; whoever makes a range knows the time zone, and on which days those
    instants lie.
    """

    first: int = BEFORE_ALL
    last: int = BEHIND_ALL
    first_day: int = BEFORE_ALL
    last_day: int = BEHIND_ALL

    def test(self) -> Callable[[str], bool]:
        """Return what says whether a string is accepted."""
        return self._holds

    def _holds(self, string: str) -> bool:
        day = parse_date(string)
        if day is not None:
            return self.first_day <= day <= self.last_day
        instant = parse_instant(string)
        return instant is not None and self.first <= instant <= self.last


StringTest: TypeAlias = Like | DateRange


def _comparison(how: How, values: tuple[str, ...]) -> Callable[[str], bool]:
    if how is How.STARTS_WITH:
        return lambda string: string.startswith(values)
    if how is How.ENDS_WITH:
        return lambda string: string.endswith(values)
    if how is How.EQUALS:
        return frozenset(values).__contains__
    if len(values) == 1:
        return lambda string: values[0] in string
    return lambda string: any(value in string for value in values)


class StringTests:
    """What tests have found in one dictionary. Any thread may ask."""

    def __init__(self, values: Dictionary) -> None:
        self._values = values
        self._found: OrderedDict[StringTest, tuple[BitMap, BitMap]] = OrderedDict()
        self._lock = threading.Lock()

    def accepted(self, test: StringTest, among: BitMap) -> NDArray[np.uint32]:
        """Return which of some numbers stand for a string that a test accepts, ascending, (n,) uint32.

        Reads the strings that the test has not read yet; bitmaps that are kept are never changed.
        """
        with self._lock:
            read, passed = self._found.get(test) or (BitMap(), BitMap())
        fresh = among - read
        if fresh:
            holds, strings = test.test(), self._values
            found = BitMap([number for number in fresh if holds(strings[number])])
            with self._lock:  # another thread may have read others meanwhile
                read, passed = self._found.get(test) or (read, passed)
                self._found[test] = read, passed = read | fresh, passed | found
                while len(self._found) > MAX_TESTS:
                    self._found.popitem(last=False)
        with self._lock:
            if test in self._found:
                self._found.move_to_end(test)
        return roaring.to_array(passed & among)
