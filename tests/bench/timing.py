"""How long does it take? Repeated calls, and their quantiles."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Times:
    """Quantiles of a number of runs, in ms. With fewer than a hundred runs p99 is the slowest."""

    runs: int
    p50: float
    p90: float
    p99: float


def quantiles(milliseconds: list[float]) -> Times:
    """Return the quantiles of some times."""
    p50, p90 = np.percentile(milliseconds, [50, 90]).tolist()
    p99 = float(np.percentile(milliseconds, 99, method="higher"))
    return Times(len(milliseconds), p50, p90, p99)


def repeat(call: Callable[[int], object], runs: int, least: int, seconds: float) -> list[float]:
    """Call with 0, 1, … up to `runs` times, or until `seconds` are over and `least` are done; return ms."""
    taken: list[float] = []
    until = time.perf_counter() + seconds
    for number in range(runs):
        started = time.perf_counter_ns()
        call(number)
        taken.append((time.perf_counter_ns() - started) / 1e6)
        if len(taken) >= least and time.perf_counter() > until:
            break
    return taken
