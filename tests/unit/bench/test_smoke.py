"""The benchmark still runs, and Cohort's answers are DuckDB's. No times are asserted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.bench.__main__ import parse, run
from tests.bench.compare import WrongAnswerError, check
from tests.bench.shapes import all_shapes, did


def test_a_quick_run_answers_as_duckdb_does(tmp_path: Path) -> None:
    options = parse(["--quick", "--engine", "--json", str(tmp_path / "quick.json")])
    results = run(replace(options, peers=("duckdb",), fast=True))
    assert len(results["shapes"]) == len(all_shapes())
    assert options.json.stat().st_size


class Fixed:
    name = "fixed"

    def __init__(self, *customers: int) -> None:
        self.customers = customers

    def ids(self, rule: dict[str, Any]) -> NDArray[np.int64]:
        return np.array(self.customers)


def test_a_wrong_answer_ends_the_run() -> None:
    with pytest.raises(WrongAnswerError, match=r"only Cohort: \[3\], only fixed: \[2\]"):
        check(did("view"), Fixed(1, 3), [Fixed(1, 2)])
