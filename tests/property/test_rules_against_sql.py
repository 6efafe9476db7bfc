"""Random rules on random events give what DuckDB gives: a second oracle, which shares nothing with the first.

`make fuzz-sql SCENES=…` asks more of them than the tests do.
"""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import oracle, strategies
from tests.property.test_rules_against_oracle import SPLITS, Split
from tests.sql_oracle import Tables, Unsayable
from tests.strategies import Scene
from tests.world import indexed

SCENES = int(os.environ.get("SQL_SCENES", "25"))
"""Worlds of each kind, with three to six rules each; some 0.2 s of DuckDB's time a world."""


@pytest.mark.parametrize("scenes", [strategies.scenes, strategies.dense_scenes], ids=["any", "dense"])
def test_rules_give_what_sql_gives(scenes: st.SearchStrategy[Scene]) -> None:
    said: Counter[bool] = Counter()

    @settings(max_examples=SCENES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(scenes, SPLITS)
    def check(scene: Scene, split: Split) -> None:
        tables = Tables(scene.world, scene.as_of)
        engine = indexed(scene.world, *split)
        for rule in scene.rules:
            try:
                expected = tables.matching(rule)
            except Unsayable:
                said[False] += 1
                continue
            said[True] += 1
            assert oracle.matching(rule, scene.world, scene.as_of) == expected, rule
            assert engine.run(rule, scene.as_of) == expected, rule
        tables.close()

    check()
    assert said[True] >= SCENES, f"SQL could say too few rules: {said}"
