"""Has this event arrived before? Compared with a dict, with collisions, across runs and the window."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events import dedupe
from libs.events.dedupe import Dedupe

WINDOW = 1_000_000
START = 10_000_000


class Log:
    """The rows that were kept, and dedupe over them."""

    def __init__(self, hashing: Any = None) -> None:
        self.rows: list[tuple[int, str, int]] = []
        self.dedupe = Dedupe(7, WINDOW, self._lookup)
        self._hashing = hashing or self.dedupe.hashes

    def _lookup(self, rows: Any) -> Any:
        assert (np.diff(rows) >= 0).all(), "rows are asked for in order"
        found = [self.rows[row] for row in rows.tolist()]
        customers = np.array([customer for customer, _, _ in found], np.uint32)
        return customers, [event_id for _, event_id, _ in found], np.array([at for *_, at in found], np.int64)

    def send(self, pairs: list[tuple[int, str]], now: int) -> list[bool]:
        """Send pairs; return which were duplicates."""
        customers = np.array([customer for customer, _ in pairs], np.uint32)
        ids = [event_id for _, event_id in pairs]
        hashes = self._hashing(customers, ids)
        found = self.dedupe.duplicates(customers, ids, hashes, now)
        first = len(self.rows)
        self.rows += [(*pair, now) for pair, repeat in zip(pairs, found, strict=True) if not repeat]
        self.dedupe.add(hashes[~found], np.arange(first, len(self.rows)), now)
        return [bool(each) for each in found]


def all_equal(customers: Any, ids: list[str]) -> Any:
    return np.full(len(ids), 42, np.uint64)


def two_buckets(customers: Any, ids: list[str]) -> Any:
    return np.array([len(each) % 2 for each in ids], np.uint64)


def largest(customers: Any, ids: list[str]) -> Any:
    return np.full(len(ids), 2**64 - 1, np.uint64)


def test_a_second_copy_is_a_duplicate_and_another_customer_s_is_not() -> None:
    log = Log()
    assert log.send([(1, "a"), (2, "a"), (1, "b")], START) == [False, False, False]
    assert log.send([(1, "a"), (2, "b"), (2, "a")], START) == [True, False, True]


def test_of_repeats_in_one_batch_the_first_is_kept() -> None:
    log = Log()
    assert log.send([(1, "a"), (1, "b"), (1, "a"), (2, "a"), (1, "a")], START) == [
        False,
        False,
        True,
        False,
        True,
    ]


def test_the_window_runs_from_the_first_arrival_and_a_duplicate_does_not_prolong_it() -> None:
    log = Log()
    assert log.send([(1, "a")], START) == [False]
    assert log.send([(1, "a")], START + WINDOW - 1) == [True]
    assert log.send([(1, "a")], START + WINDOW) == [False]
    assert log.send([(1, "a")], START + 2 * WINDOW - 1) == [True]


@pytest.mark.parametrize("hashing", [all_equal, two_buckets, largest])
@pytest.mark.parametrize("buffer_ids", [1, 2, 5, 8192])
def test_equal_hashes_are_told_apart(monkeypatch: pytest.MonkeyPatch, hashing: Any, buffer_ids: int) -> None:
    monkeypatch.setattr(dedupe, "BUFFER_IDS", buffer_ids)
    log = Log(hashing)
    pairs = [(customer, "x" * length) for customer in range(3) for length in range(3)]
    assert log.send(pairs[:5], START) == [False] * 5
    assert log.send(pairs, START) == [True] * 5 + [False] * 4
    assert log.send(list(reversed(pairs)), START) == [True] * 9


def test_ids_move_from_the_buffer_to_runs_that_merge_geometrically(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedupe, "BUFFER_IDS", 4)
    log = Log()
    for number in range(64):
        assert log.send([(number, "a")], START) == [False]
    sizes = [len(run.hashes) for run in log.dedupe._runs]
    assert sum(sizes) + sum(map(len, log.dedupe._buffer.values())) == 64
    assert all(larger >= 2 * smaller for larger, smaller in pairwise(sizes))
    assert all((np.diff(run.hashes.astype(object)) >= 0).all() for run in log.dedupe._runs)
    assert log.send([(number, "a") for number in range(64)], START) == [True] * 64


def test_what_left_the_window_leaves_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedupe, "BUFFER_IDS", 2)
    log = Log()
    for step in range(100):
        log.send([(step, "a"), (step, "b")], START + step * dedupe.ARRIVAL_STEP_MS)
    held = sum(len(run.hashes) for run in log.dedupe._runs)
    inside = WINDOW // dedupe.ARRIVAL_STEP_MS
    assert held <= 2 * 2 * (2 * inside + 2)
    assert log.send([(99, "a"), (0, "a")], START + 99 * dedupe.ARRIVAL_STEP_MS) == [True, False]


batches = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc")), max_size=6),
        st.sampled_from([0, 1, WINDOW // 2, WINDOW - 1, WINDOW, dedupe.ARRIVAL_STEP_MS]),
    ),
    max_size=12,
)


@pytest.mark.parametrize("buffer_ids", [1, 3, 8192])
@pytest.mark.parametrize("hashing", [None, all_equal, two_buckets])
def test_any_history_gives_what_a_dict_gives(
    monkeypatch: pytest.MonkeyPatch, hashing: Any, buffer_ids: int
) -> None:
    monkeypatch.setattr(dedupe, "BUFFER_IDS", buffer_ids)

    @settings(max_examples=40, deadline=None)
    @given(batches)
    def check(history: list[tuple[list[tuple[int, str]], int]]) -> None:
        log, naive, now = Log(hashing), {}, START
        for pairs, later in history:
            now += later
            expected = []
            for pair in pairs:
                expected.append(pair in naive and naive[pair] > now - WINDOW)
                if not expected[-1]:
                    naive[pair] = now
            assert log.send(pairs, now) == expected

    check()
