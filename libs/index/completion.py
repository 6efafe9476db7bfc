"""Which strings begin so? Completion of what people type, in any case, over a dictionary of any size.

The numbers of a dictionary's strings are kept in runs, each in order of the case-folded strings: what begins with
a prefix is a slice of each run, found by bisection. A run is made when it is first wanted and then stays, since a
number's string never changes. Sorting a run holds the interpreter for some 10 ms, bisecting reads 30 strings.
"""

import threading
from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray

from libs.events.dictionary import Dictionary

RUN = 1 << 14
"""Strings of a run. A million strings are 61 runs: 4 MB, and some 2,000 strings read for a prefix."""


def begins(string: str, prefix: str) -> bool:
    """Say whether a string begins with a prefix, in any case."""
    return string.casefold().startswith(prefix.casefold())


class Completion:
    """The strings of one dictionary by how they begin. Any thread may ask."""

    def __init__(self, values: Dictionary) -> None:
        self._values = values
        self._runs: list[NDArray[np.uint32]] = []
        self._lock = threading.Lock()

    def places(self, numbers: NDArray[np.uint32], prefix: str) -> NDArray[np.int64]:
        """Return where, among some numbers, ascending, those of strings that begin so stand, ascending, (k,)."""
        if len(numbers) <= RUN:
            strings, folded = self._values.strings(numbers.tolist()), prefix.casefold()
            found = [place for place, string in enumerate(strings) if string.casefold().startswith(folded)]
            return np.array(found, np.int64)
        begin = np.concatenate([np.empty(0, np.uint32), *self._slices(int(numbers[-1]) + 1, prefix)])
        places = np.searchsorted(numbers, begin)
        places[places == len(numbers)] = 0
        return np.sort(places[numbers[places] == begin])

    def _slices(self, count: int, prefix: str) -> list[NDArray[np.uint32]]:
        """Return, run by run, the numbers of strings that begin so; runs of the first `count` strings at least."""
        folded, strings = prefix.casefold(), self._values
        with self._lock:
            while len(self._runs) * RUN < count:
                self._runs.append(self._sorted(len(self._runs) * RUN, len(strings)))
                if len(self._runs[-1]) < RUN:  # the last strings: there will be more, so it is made again
                    partial = self._runs.pop()
                    return [_slice(run, folded, strings) for run in (*self._runs, partial)]
            runs = list(self._runs)
        return [_slice(run, folded, strings) for run in runs]

    def _sorted(self, first: int, stop: int) -> NDArray[np.uint32]:
        numbers = range(first, min(first + RUN, stop))
        return np.array(sorted(numbers, key=lambda number: self._values[number].casefold()), np.uint32)


def _slice(run: NDArray[np.uint32], folded: str, strings: Dictionary) -> NDArray[np.uint32]:
    """Return the part of a run that begins with a folded prefix."""

    def start_of(number: np.uint32) -> str:
        return strings[int(number)].casefold()[: len(folded)]

    return run[bisect_left(run, folded, key=start_of) : bisect_right(run, folded, key=start_of)]
