"""A process killed while it seals and merges: the next start answers what an index made anew from the log does."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from pyroaring import BitMap

from libs.engine import Engine
from libs.index import condition
from libs.index.condition import AllOf, NumberRange, OneOf
from libs.index.evaluate import evaluate
from libs.index.index import Index
from libs.index.plan import EVER, Did
from libs.index.segment import Segment
from tests.faults.index_process import DAY, NOW, ROWS, open_engine

KILLS = int(os.environ.get("INDEX_KILLS", "6"))
BRAND = condition.Test("brand", OneOf(frozenset({"a"})))
DEAR = condition.Test("price", NumberRange(lower=4, lower_open=True))


def questions() -> list[Did]:
    windows = [(EVER, NOW + 1), (NOW - 30 * DAY, NOW + 1), (NOW - 60 * DAY, NOW - 20 * DAY)]
    wheres = [None, BRAND, DEAR, AllOf((BRAND, DEAR))]
    return [
        Did(event_type, where, first, end, least)
        for event_type in ("view", "cart", "purchase")
        for where in wheres
        for first, end in windows
        for least in (1, 3)
    ]


def answers(engine: Engine) -> list[BitMap]:
    snapshot = engine.snapshot()
    return [engine.evaluate(question, snapshot, NOW) for question in questions()]


def anew(engine: Engine) -> list[BitMap]:
    """Answer from an index of the same log that seals nothing and reads no file."""
    log = engine._log
    index = Index(engine.calendar, log.names, log.values, log.customers, seal_rows=10**9)
    for changes in log.changes(index.position):
        index.apply(changes)
    return [evaluate(question, index.snapshot(), NOW) for question in questions()]


@pytest.mark.parametrize("seed", range(2))
def test_whatever_was_half_done_the_next_start_answers_from_the_log(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    acknowledged = 0
    for _ in range(KILLS // 2):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.faults.index_process", str(tmp_path / "log"), str(acknowledged)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            for _ in range(chance.randint(1, 60)):
                acknowledged = int(process.stdout.readline()) + 1
            process.kill()
            acknowledged += len(process.stdout.readlines())
        engine = open_engine(tmp_path / "log", seal_rows=10**9)
        snapshot = engine.snapshot()
        assert ROWS * acknowledged <= snapshot.position.rows <= ROWS * (acknowledged + 1)
        assert answers(engine) == anew(engine)
        engine.close()
    engine = open_engine(tmp_path / "log")
    parts = [part for held in engine.snapshot().parts.values() for part in held]
    assert all(isinstance(part, Segment) for part in parts)
    assert sum(map(len, parts)) >= ROWS * acknowledged
    engine.close()
