"""Are the answers equal, and how fast does each come? Every shape, checked first, then timed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.bench.peers import Peer
from tests.bench.shapes import Shape
from tests.bench.store import Cohort
from tests.bench.timing import Times, quantiles, repeat

TREE_RUNS = 3
"""Runs of each rule of a shape that has many."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """How often a rule is run: up to `runs` times, or until `seconds` are over and `least` runs done."""

    runs: int
    least: int
    seconds: float


COHORT, PEER = Effort(100, 10, 1.0), Effort(15, 5, 0.4)
ONCE = Effort(1, 1, 0.0)


class WrongAnswerError(Exception):
    """Cohort and a peer do not agree. The message has the rule and some of the customers in question."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """A shape's times: Cohort's over all its rules, each peer's over the rules sampled. `size` is the first's."""

    shape: str
    rules: int
    size: int
    cohort: Times
    peers: dict[str, Times]
    sampled: Times | None
    """Cohort's on the rules sampled, where those are not all."""

    @property
    def best_peer(self) -> str | None:
        """The fastest peer."""
        return min(self.peers, key=lambda name: self.peers[name].p50, default=None)

    @property
    def ratio(self) -> float | None:
        """How many times the fastest peer's median is Cohort's, on the same rules."""
        best = self.best_peer
        return self.peers[best].p50 / (self.sampled or self.cohort).p50 if best else None


def check(rule: dict[str, Any], cohort: Cohort, peers: Sequence[Peer]) -> int:
    """Compare the customers of a rule; return how many there are. Raises `WrongAnswerError`."""
    found = cohort.ids(rule)
    for peer in peers:
        expected = peer.ids(rule)
        if not np.array_equal(found, expected):
            more, fewer = np.setdiff1d(found, expected), np.setdiff1d(expected, found)
            raise WrongAnswerError(
                f"{rule}: Cohort has {len(found)} customers, {peer.name} {len(expected)}; "
                f"only Cohort: {more[:5].tolist()}, only {peer.name}: {fewer[:5].tolist()}"
            )
    return len(found)


def measure(shape: Shape, cohort: Cohort, peers: Sequence[Peer], *, once: bool = False) -> Measured:
    """Check, then time one shape; `once` where times do not matter."""
    own_effort, peer_effort = (ONCE, ONCE) if once else (COHORT, PEER)
    asked = [peer for peer in peers if peer.name in shape.peers]
    sample = shape.rules[: shape.sampled]
    sizes = [check(rule, cohort, asked) for rule in sample]
    many = len(shape.rules) > shape.sampled
    if many and not once:
        own_effort = dataclasses.replace(COHORT, runs=TREE_RUNS, least=TREE_RUNS)
    own = [_time_cohort(cohort, rule, own_effort) for rule in shape.rules]
    times = {
        peer.name: quantiles([taken for rule in sample for taken in _time_peer(peer, rule, peer_effort)])
        for peer in asked
    }
    return Measured(
        shape.name,
        len(shape.rules),
        sizes[0],
        quantiles([each for taken in own for each in taken]),
        times,
        quantiles([each for taken in own[: shape.sampled] for each in taken]) if many else None,
    )


def _time_cohort(cohort: Cohort, rule: dict[str, Any], effort: Effort) -> list[float]:
    run = cohort.runner(rule)
    run(0)
    return repeat(lambda number: run(number + 1), effort.runs, effort.least, effort.seconds)


def _time_peer(peer: Peer, rule: dict[str, Any], effort: Effort) -> list[float]:
    return repeat(lambda _: peer.count(rule), effort.runs, effort.least, effort.seconds)
