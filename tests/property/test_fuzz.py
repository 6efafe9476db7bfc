"""The fuzz run ends, says what it met, and notices a difference: its short form."""

import pytest

from tests import oracle
from tests.fuzz.__main__ import SMALL, Met, fuzz_round


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for (module, name), value in SMALL.items():
        monkeypatch.setattr(module, name, value)


def test_a_short_run_meets_every_kind_of_node() -> None:
    met = Met()
    fuzz_round(25, 7, met)
    for kind in ("node did", "node profile", "node sequence", "node not", "window last", "op BETWEEN"):
        assert met.kinds[kind], kind


def test_a_difference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "matching", lambda *_: {"somebody else"})
    with pytest.raises(AssertionError):
        fuzz_round(5, 7, Met())
