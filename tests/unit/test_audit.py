"""`make audit` passes only where every package was looked up and none is known to be vulnerable."""

import json
from typing import Any

import pytest

from tests.audit import judge

GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"], "aliases": []}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([GOOD, GOOD], 0, "none known to be vulnerable"),
        ([GOOD, BAD], 1, "b 2 is vulnerable: CVE-1, mended in 3"),
        ([BAD, UNKNOWN], 1, "NOT AUDITED"),
        ([GOOD, UNKNOWN], 2, "out of reach or does not know 1 of 2 packages: c"),
        ([UNKNOWN] * 9, 2, "NOT AUDITED"),
        ([], 2, "NOT AUDITED"),
    ],
)
def test_what_was_not_looked_up_is_no_pass(packages: list[Any], code: int, said: str) -> None:
    verdict = judge("some.lock", json.dumps({"dependencies": packages, "fixes": []}))
    assert verdict.code == code
    assert said in "\n".join(verdict.lines)


@pytest.mark.parametrize("output", ["", "Traceback (most recent call last):", "{}", "[]", "null"])
def test_a_database_out_of_reach_is_no_pass(output: str) -> None:
    verdict = judge("some.lock", output)
    assert (verdict.code, "out of reach" in verdict.lines[0]) == (2, True)
