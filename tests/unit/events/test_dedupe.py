"""Has this event arrived before? Compared with a dict, with collisions, across runs, restarts and the window."""

import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events import dedupe, run_files
from libs.events.dedupe import Dedupe
from libs.events.keeper import Keeper
from libs.events.log import Position
from libs.events.run_files import RunFiles

WINDOW = 1_000_000
START = 10_000_000


class Log:
    """The rows that were kept, and dedupe over them with its files in a folder."""

    def __init__(self, folder: Path, hashing: Any = None) -> None:
        self.rows: list[tuple[int, str, int]] = []
        self.commits: list[tuple[Any, Any, int, Position]] = []
        self._folder, self._own_hashing = folder, hashing
        self.open()

    def open(self) -> None:
        """Start, with what is on disk and what came behind it."""
        self.keeper = Keeper()
        self.files = RunFiles(self._folder, "log", self._end)
        covered = self.files.covered
        self.dedupe = Dedupe(7, WINDOW, self._lookup, self.files, self.keeper)
        self._hashing = self._own_hashing or self.dedupe.hashes
        first_rows = [0, *(position.rows for *_, position in self.commits)]
        self.replayed = [
            commit
            for first_row, commit in zip(first_rows, self.commits, strict=False)
            if (first_row, commit[-1].revision) > (covered.rows, covered.revision)
        ]
        for commit in self.replayed:
            self.dedupe.add(*commit)

    def close(self, now: int) -> None:
        """End as a server does that is told to."""
        self.dedupe.close(now)
        self.keeper.close()

    def kill(self) -> None:
        """End without another word; what the keeper is doing is done."""
        self.keeper.close()

    @property
    def _end(self) -> Position:
        return Position(len(self.commits), len(self.rows))

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
        revision = len(self.commits) + 1
        kept = hashes[~found], np.arange(first, len(self.rows)), now, Position(revision, len(self.rows))
        self.commits.append(kept)
        self.dedupe.add(*kept)
        return [bool(each) for each in found]


NewLog = Callable[..., Log]


@pytest.fixture
def new_log() -> Iterator[NewLog]:
    """Make logs, each in a folder of its own."""
    made: list[Log] = []
    with TemporaryDirectory() as folder:

        def make(hashing: Any = None) -> Log:
            made.append(Log(Path(folder) / str(len(made)), hashing))
            return made[-1]

        yield make
        for log in made:
            log.kill()


def all_equal(customers: Any, ids: list[str]) -> Any:
    return np.full(len(ids), 42, np.uint64)


def two_buckets(customers: Any, ids: list[str]) -> Any:
    return np.array([len(each) % 2 for each in ids], np.uint64)


def largest(customers: Any, ids: list[str]) -> Any:
    return np.full(len(ids), 2**64 - 1, np.uint64)


def test_a_second_copy_is_a_duplicate_and_another_customer_s_is_not(new_log: NewLog) -> None:
    log = new_log()
    assert log.send([(1, "a"), (2, "a"), (1, "b")], START) == [False, False, False]
    assert log.send([(1, "a"), (2, "b"), (2, "a")], START) == [True, False, True]


def test_of_repeats_in_one_batch_the_first_is_kept(new_log: NewLog) -> None:
    log = new_log()
    assert log.send([(1, "a"), (1, "b"), (1, "a"), (2, "a"), (1, "a")], START) == [
        False,
        False,
        True,
        False,
        True,
    ]


def test_the_window_runs_from_the_first_arrival_and_a_duplicate_does_not_prolong_it(new_log: NewLog) -> None:
    log = new_log()
    assert log.send([(1, "a")], START) == [False]
    assert log.send([(1, "a")], START + WINDOW - 1) == [True]
    assert log.send([(1, "a")], START + WINDOW) == [False]
    assert log.send([(1, "a")], START + 2 * WINDOW - 1) == [True]


@pytest.mark.parametrize("hashing", [all_equal, two_buckets, largest])
@pytest.mark.parametrize("buffer_ids", [1, 2, 5, 8192])
@pytest.mark.parametrize("many", [1, 8192])
def test_equal_hashes_are_told_apart(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch, hashing: Any, buffer_ids: int, many: int
) -> None:
    monkeypatch.setattr(dedupe, "BUFFER_IDS", buffer_ids)
    monkeypatch.setattr(dedupe, "MANY", many)
    log = new_log(hashing)
    pairs = [(customer, "x" * length) for customer in range(3) for length in range(3)]
    assert log.send(pairs[:5], START) == [False] * 5
    assert log.send(pairs, START) == [True] * 5 + [False] * 4
    assert log.send(list(reversed(pairs)), START) == [True] * 9


def test_ids_move_from_the_buffer_to_runs_that_merge_geometrically(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedupe, "BUFFER_IDS", 4)
    log = new_log()
    for number in range(64):
        assert log.send([(number, "a")], START) == [False]
    sizes = list(map(len, log.dedupe._runs))
    assert sum(sizes) + sum(map(len, log.dedupe._buffer.values())) == 64
    assert all(larger >= 2 * smaller for larger, smaller in pairwise(sizes))
    assert log.send([(number, "a") for number in range(64)], START) == [True] * 64


def test_runs_on_disk_merge_geometrically_and_are_all_a_start_needs(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedupe, "KEPT_ROWS", 8)
    log = new_log()
    for number in range(0, 640, 4):
        assert log.send([(each, "a") for each in range(number, number + 4)], START) == [False] * 4
        log.keeper.wait()
    sizes = list(map(len, log.files.entries))
    assert sum(sizes) == log.files.covered.rows == 640
    assert all(larger >= 2 * smaller for larger, smaller in pairwise(sizes))
    log.kill()
    log.open()
    assert log.replayed == []
    assert log.send([(number, "a") for number in range(640)], START) == [True] * 640


def test_what_left_the_window_leaves_memory_and_disk(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedupe, "BUFFER_IDS", 2)
    monkeypatch.setattr(dedupe, "KEPT_ROWS", 4)
    log = new_log()
    for step in range(100):
        log.send([(step, "a"), (step, "b")], START + step * dedupe.ARRIVAL_STEP_MS)
        log.keeper.wait()
    held = sum(map(len, log.dedupe._all_runs()))
    inside = WINDOW // dedupe.ARRIVAL_STEP_MS
    assert held <= 2 * 2 * (2 * inside + 2)
    assert log.send([(99, "a"), (0, "a")], START + 99 * dedupe.ARRIVAL_STEP_MS) == [True, False]
    log.close(START + 200 * dedupe.ARRIVAL_STEP_MS)
    assert sum(map(len, log.files.entries)) == 0


def test_commits_without_ids_are_covered_and_change_no_file(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedupe, "KEPT_COMMITS", 3)
    log = new_log()
    nothing = np.empty(0, np.uint64), np.empty(0, np.int64)
    for round_number in range(2):
        for _ in range(3):
            log.rows += [(0, "", START)] * 5
            log.commits.append((*nothing, START, Position(len(log.commits) + 1, len(log.rows))))
            log.dedupe.add(*log.commits[-1])
        log.keeper.wait()
        assert log.files.covered == Position(len(log.commits), len(log.rows))
        numbers = [entry.number for entry in log.files.entries]
        assert numbers == [[0], [0, 1]][round_number]
        if not round_number:
            assert log.send([(1, "a")], START) == [False]
            log.close(START)
            log.open()
    log.kill()
    log.open()
    assert log.replayed == []
    assert log.send([(1, "a"), (1, "b")], START) == [True, False]


def test_a_full_disk_delays_the_files_and_loses_nothing(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedupe, "KEPT_ROWS", 2)
    log = new_log()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as failing:
        failing.setattr(log.files, "write", full)
        for number in range(6):
            assert log.send([(number, "a")], START) == [False]
            log.keeper.wait()
        assert log.send([(number, "a") for number in range(6)], START) == [True] * 6
    assert log.files.covered == Position()
    log.close(START)
    log.open()
    assert log.replayed == []
    assert log.send([(number, "a") for number in range(7)], START) == [True] * 6 + [False]


@pytest.mark.parametrize("name", ["manifest", "run-1", "run-2", "run-3"])
@pytest.mark.parametrize("harm", ["flipped", "missing", "empty", "other version"])
def test_files_that_are_damaged_are_dropped_with_all_that_came_later(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch, name: str, harm: str
) -> None:
    monkeypatch.setattr(dedupe, "KEPT_ROWS", 1)
    log = new_log()
    for number, size in enumerate((40, 10, 2)):
        log.send([(number, f"{each}") for each in range(size)], START)
        log.keeper.wait()
    log.kill()
    path = log._folder / name
    content = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "other version":
        monkeypatch.setattr(run_files, "VERSION", run_files.VERSION + 1)
    else:
        path.write_bytes(content[:-1] + bytes((content[-1] ^ 1,)) if harm == "flipped" else b"")
    log.open()
    lost = 3 if harm == "other version" or name == "manifest" else 4 - int(name[-1])
    assert len(log.replayed) == lost
    log.keeper.wait()
    log.close(START)
    log.open()
    assert log.replayed == []
    assert log.send([(2, "1"), (1, "9"), (0, "39"), (2, "2")], START) == [True, True, True, False]


def test_files_of_another_log_or_of_a_later_state_are_dropped(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedupe, "KEPT_ROWS", 1)
    log = new_log()
    for number in range(3):
        log.send([(number, "a")], START)
    log.close(START)
    for log_id, end in (("log", Position(3, 2)), ("log", Position(2, 3)), ("other", Position(9, 9))):
        with TemporaryDirectory() as folder:
            shutil.copytree(log._folder, folder, dirs_exist_ok=True)
            files = RunFiles(Path(folder), log_id, end)
            assert (files.entries, files.covered) == ((), Position())
            assert not list(Path(folder).glob("run-*"))
    assert RunFiles(log._folder, "log", Position(9, 9)).covered == Position(3, 3)


batches = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc")), max_size=6),
        st.sampled_from([0, 1, WINDOW // 2, WINDOW - 1, WINDOW, dedupe.ARRIVAL_STEP_MS]),
        st.sampled_from(["", "", "", "", "close", "kill"]),
    ),
    max_size=12,
)


@pytest.mark.parametrize("buffer_ids", [1, 3, 8192])
@pytest.mark.parametrize("many", [1, 8192])
@pytest.mark.parametrize("kept", [1, 5])
@pytest.mark.parametrize("hashing", [None, all_equal, two_buckets])
def test_any_history_gives_what_a_dict_gives(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch, hashing: Any, buffer_ids: int, many: int, kept: int
) -> None:
    monkeypatch.setattr(dedupe, "BUFFER_IDS", buffer_ids)
    monkeypatch.setattr(dedupe, "MANY", many)
    monkeypatch.setattr(dedupe, "KEPT_ROWS", kept)
    monkeypatch.setattr(dedupe, "KEPT_COMMITS", 2 * kept)

    @settings(max_examples=15, deadline=None)
    @given(batches)
    def check(history: list[tuple[list[tuple[int, str]], int, str]]) -> None:
        log, naive, now = new_log(hashing), {}, START
        for pairs, later, end in history:
            now += later
            if end == "close":
                log.close(now)
            if end == "kill":
                log.kill()
            if end:
                log.open()
            expected = []
            for pair in pairs:
                expected.append(pair in naive and naive[pair] > now - WINDOW)
                if not expected[-1]:
                    naive[pair] = now
            assert log.send(pairs, now) == expected

    check()
