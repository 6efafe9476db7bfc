"""Random rules on random events give what the naive evaluator gives, however the events are split."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.index import columns, planner, seal, tally
from libs.index import nodes as node_module
from libs.index.planner import Path
from tests import oracle, strategies
from tests.oracle import World
from tests.strategies import Scene
from tests.world import indexed

Split = tuple[int, tuple[int, ...]]
SPLITS: st.SearchStrategy[Split] = st.sampled_from(
    [(1, ()), (1, (3, 1, 1)), (5, (2, 2, 2, 2)), (10**6, ()), (10**6, (4,)), (1, (10, 10))]
)


@pytest.fixture(autouse=True)
def _bitmaps_on_small_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give keys of few rows their bitmaps, so that few events reach every access path."""
    monkeypatch.setattr(node_module, "NODE_ROWS", 2)
    monkeypatch.setattr(seal, "KEY_ROWS", 2)
    monkeypatch.setattr(seal, "BINNED_ROWS", 2)
    monkeypatch.setattr(seal, "BINS", 5)
    monkeypatch.setattr(seal, "GROUP", 2)
    monkeypatch.setattr(planner, "GROUP", 2)
    monkeypatch.setattr(columns, "RAW_SHARE", 1)
    monkeypatch.setattr(planner, "MANY", 2)
    monkeypatch.setattr(tally, "HEAVY", 2)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.scenes, SPLITS)
def test_a_rule_gives_what_the_oracle_gives(scene: Scene, split: Split) -> None:
    engine = indexed(scene.world, *split)
    for rule in scene.rules:
        assert engine.run(rule, scene.as_of) == oracle.matching(rule, scene.world, scene.as_of), rule


@pytest.mark.parametrize("path", Path)
def test_every_access_path_gives_what_the_oracle_gives(path: Path) -> None:
    @settings(max_examples=60, deadline=None)
    @given(strategies.scenes, SPLITS)
    def check(scene: Scene, split: Split) -> None:
        engine = indexed(scene.world, *split)
        for rule in scene.rules:
            expected = oracle.matching(rule, scene.world, scene.as_of)
            assert engine.run(rule, scene.as_of, only=path) == expected, rule

    check()


@pytest.mark.parametrize("path", [None, Path.SCAN, Path.POSTINGS, Path.CUSTOMERS, Path.BITMAPS])
def test_figures_first_times_and_orders_give_what_the_oracle_gives(path: Path | None) -> None:
    @settings(max_examples=80, deadline=None)
    @given(strategies.dense_scenes, SPLITS)
    def check(scene: Scene, split: Split) -> None:
        engine = indexed(scene.world, *split)
        for rule in scene.rules:
            expected = oracle.matching(rule, scene.world, scene.as_of)
            assert engine.run(rule, scene.as_of, only=path) == expected, rule

    check()


def nodes(rule: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a rule in pre-order."""
    yield rule
    [(kind, body)] = rule.items()
    below = {"all": body.get("rules", []), "any": body.get("rules", []), "not": [body.get("rule")]}
    for each in below.get(kind, []):
        yield from nodes(each)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.scenes)
def test_node_sizes_are_those_of_each_node_alone(scene: Scene) -> None:
    engine = indexed(scene.world, 5, (3, 3))
    for rule in scene.rules:
        expected = [len(oracle.matching(each, scene.world, scene.as_of)) for each in nodes(rule)]
        assert engine.sizes(rule, scene.as_of) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.scenes)
def test_a_snapshot_does_not_see_what_comes_later(scene: Scene) -> None:
    world, later = scene.world, scene.later
    engine = indexed(world, 5, (3,))
    snapshot = engine.snapshot()
    engine.append(later.events, {name: dict(data) for name, data in later.profiles.items()})
    engine.index.settle()
    both = World(
        [*world.events, *later.events], {**world.profiles, **later.profiles}, world.zone, world.cohorts
    )
    for rule in scene.rules:
        assert engine.run(rule, scene.as_of, snapshot) == oracle.matching(rule, world, scene.as_of)
        assert engine.run(rule, scene.as_of) == oracle.matching(rule, both, scene.as_of)
