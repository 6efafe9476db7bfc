"""Are exactly the refused rows found, with samples, without, and where there are too many to tell apart?"""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sync.destinations.base import Passing
from services.sync.destinations.facebook.reconcile import MOST_PROBES, Row, Tally, invalid_count, reconcile


class Meta:
    """An audience that refuses some values."""

    def __init__(self, refuse: set[str], samples: object = None) -> None:
        self.refuse = refuse
        self.samples = samples
        self.held: set[str] = set()
        self.calls = 0

    async def add(self, rows: Sequence[Row]) -> dict[str, object]:
        self.calls += 1
        values = [str(row[0]) for row in rows]
        self.held |= {value for value in values if value not in self.refuse}
        bad = sum(value in self.refuse for value in values)
        return {"num_received": len(rows), "num_invalid_entries": bad, "invalid_entry_samples": self.samples}

    async def remove(self, rows: Sequence[Row]) -> dict[str, object]:
        self.held -= {str(row[0]) for row in rows}
        return {"num_received": len(rows), "num_invalid_entries": 0}

    async def upload(self, rows: Sequence[Row]):
        return await reconcile(rows, await self.add(rows), Tally(), self.add, self.remove)


def rows_of(count: int) -> list[Row]:
    return [[f"value-{n}", "shared"] for n in range(count)]


@given(st.integers(1, 200), st.sets(st.integers(0, 199), max_size=6))
async def test_without_samples_the_refused_rows_are_found_by_halving(count, bad):
    meta = Meta({f"value-{n}" for n in bad})
    outcome = await meta.upload(rows_of(count))
    assert outcome.refused == {n for n in bad if n < count}
    assert not outcome.unclear


@pytest.mark.parametrize(
    "samples",
    [["value-3", "value-7"], {"value-3": "bad", "value-7": "bad"}, [["VALUE-3", ""], {"row": ["value-7"]}]],
)
async def test_samples_that_name_as_many_rows_are_believed(samples):
    meta = Meta({"value-3", "value-7"}, samples)
    assert (await meta.upload(rows_of(20))).refused == {3, 7}
    assert meta.calls == 1


@pytest.mark.parametrize("samples", [["value-3"], ["shared"], ["3", "7"], {}, "value-1", 5])
async def test_samples_that_do_not_are_not(samples):
    meta = Meta({"value-3", "value-7"}, samples)
    assert (await meta.upload(rows_of(20))).refused == {3, 7}


async def test_what_takes_too_many_calls_is_taken_off_again():
    count = 2_000
    meta = Meta({f"value-{n}" for n in range(0, count, 2)})
    outcome = await meta.upload(rows_of(count))
    assert meta.calls == MOST_PROBES + 1
    told = outcome.refused | outcome.unclear
    assert {f"value-{n}" for n in range(count) if n not in told} == meta.held
    assert all(f"value-{n}" in meta.refuse for n in outcome.refused)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"num_received": 1},
        {"num_received": "2"},
        {"num_received": 2, "num_invalid_entries": -1},
        {"num_received": 2, "num_invalid_entries": None},
    ],
)
async def test_an_answer_that_does_not_account_for_every_row_is_none(answer):
    meta = Meta(set())
    with pytest.raises(Passing):
        await reconcile(rows_of(2), answer, Tally(), meta.add, meta.remove)


async def test_figures_of_the_whole_session_are_told_from_those_of_the_batch():
    meta = Meta({"value-1"})
    earlier = Tally(sent=100, invalid=5)
    answer = {"num_received": 104, "num_invalid_entries": 6}
    outcome = await reconcile(rows_of(4), answer, earlier, meta.add, meta.remove)
    assert outcome.refused == {1}
    answer = {"num_received": 104, "num_invalid_entries": 0}
    assert not (await reconcile(rows_of(4), answer, Tally(100, 0), meta.add, meta.remove)).refused


def test_an_answer_that_counts_a_lost_batch_twice_is_not_believed():
    twice = {"num_received": 10, "num_invalid_entries": 2}
    assert invalid_count(twice, 5, Tally()) is None
    assert invalid_count({"num_received": 10, "num_invalid_entries": 0}, 5, Tally()) == 0
    assert invalid_count({"num_received": 10, "num_invalid_entries": 1}, 5, Tally(sent=5)) == 1
