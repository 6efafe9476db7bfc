"""Do the engine and the naive evaluator ever differ? `make fuzz N=100000` asks so many random rules.

Prints how often each node, operator, window, count and figure was met, and the seed that repeats a failure:
`make fuzz N=… SEED=…`. Events are random too: equal times, borders of days and of clock changes, late arrivals,
mixed kinds, missing values, profiles without events.
"""

import argparse
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from rich.console import Console
from rich.table import Table

from libs.index import columns, planner, seal, tally
from libs.index import nodes as node_module
from libs.index.planner import Path
from tests import oracle, strategies
from tests.property.test_rules_against_oracle import SPLITS, Split
from tests.strategies import Scene
from tests.world import indexed

ROUND = 2_000
"""Scenes of one round of hypothesis: each round has a seed of its own, counted up from the first."""
SMALL = {
    (node_module, "NODE_ROWS"): 2,
    (seal, "KEY_ROWS"): 2,
    (seal, "BINNED_ROWS"): 2,
    (seal, "BINS"): 5,
    (seal, "GROUP"): 2,
    (planner, "GROUP"): 2,
    (planner, "MANY"): 2,
    (columns, "RAW_SHARE"): 1,
    (tally, "HEAVY"): 2,
}
"""Sizes at which few events reach every access path."""
PATHS = (None, *Path)


class Met:
    """Counts what the rules asked were made of."""

    def __init__(self) -> None:
        self.rules = 0
        self.kinds: Counter[str] = Counter()

    def add(self, rule: dict[str, Any]) -> None:
        """Count a rule and what is in it."""
        self.rules += 1
        self.kinds.update(_names(rule))


def _names(value: Any, key: str = "") -> Iterator[str]:
    """Yield what a part of a rule is called: nodes and windows by their field, operators by their name."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in NODES:
                yield f"{'window' if key == 'when' else 'node'} {name}"
            yield from _names(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner, key)
    elif key in ("op", "function", "unit") or key in ("firstTime", "ignoreCase"):
        yield f"{key} {value}"


NODES = {
    *("all", "any", "not", "did", "profile", "sequence", "cohort", "aggregate", "count", "test"),
    *("last", "between", "daysAgo", "within"),
}


def fuzz_round(examples: int, number: int, met: Met) -> None:
    """Ask the rules of so many scenes. Raises AssertionError where an answer differs."""

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(strategies.scenes, SPLITS)
    def check(scene: Scene, split: Split) -> None:
        engine = indexed(scene.world, *split)
        for place, rule in enumerate(scene.rules):
            met.add(rule)
            expected = oracle.matching(rule, scene.world, scene.as_of)
            path = PATHS[(met.rules + place) % len(PATHS)]
            assert engine.run(rule, scene.as_of, only=path) == expected, (rule, path)

    check()


def main() -> None:
    """Run rounds until enough rules were asked."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("rules", type=int, help="how many rules to ask")
    parser.add_argument("--seed", type=int, default=None, help="the seed that a failure printed")
    options = parser.parse_args()
    for (module, name), value in SMALL.items():
        setattr(module, name, value)
    console, met, started = Console(), Met(), time.monotonic()
    number = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    while met.rules < options.rules:
        left = options.rules - met.rules
        try:
            fuzz_round(min(ROUND, max(left // 4, 1)), number, met)
        except AssertionError as error:
            console.print(f"a difference, repeated by: make fuzz N={options.rules} SEED={number}")
            print(error, file=sys.stderr)
            raise SystemExit(1) from error
        number += 1
        console.print(f"{met.rules:,} rules, {time.monotonic() - started:,.0f} s, next seed {number}")
    table = Table("met", "times")
    for name, times in sorted(met.kinds.items()):
        table.add_row(name, f"{times:,}")
    console.print(table)
    console.print(f"no difference in {met.rules:,} rules")


if __name__ == "__main__":
    main()
