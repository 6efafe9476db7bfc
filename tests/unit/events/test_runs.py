"""Sorted runs: every row of a hash is found, however runs were made, merged and looked through."""

import numpy as np
import pytest
from numpy.typing import NDArray

from libs.events import runs
from libs.events.runs import Run, make_run, merge


def pairs(run: Run, hashes: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Return the (place, number) pairs that a run finds, sorted."""
    places, numbers = run.find(hashes)
    assert (np.diff(places) >= 0).all()
    return sorted(zip(places.tolist(), numbers.tolist(), strict=True))


def expected(
    held: NDArray[np.uint64], numbers: NDArray[np.uint32], hashes: NDArray[np.uint64]
) -> list[tuple[int, int]]:
    behind: dict[int, list[int]] = {}
    for key, number in zip((held >> runs.REST).tolist(), numbers.tolist(), strict=True):
        behind.setdefault(key, []).append(number)
    wanted = (hashes >> runs.REST).tolist()
    return sorted((place, number) for place, key in enumerate(wanted) for number in behind.get(key, ()))


def random_hashes(random: np.random.Generator, rows: int, different: int) -> NDArray[np.uint64]:
    pool = random.integers(0, 1 << 64, different, dtype=np.uint64, endpoint=False)
    pool[:2] = 0, (1 << 64) - 1
    near = pool[random.integers(0, different, rows)]
    return near ^ random.integers(0, 2, rows).astype(np.uint64) << np.uint64(
        random.choice([0, 16, 31, 32, 63])
    )


@pytest.mark.parametrize("directory_rows", [4, 64, 1 << 16])
@pytest.mark.parametrize("directory_needles", [0, 256])
@pytest.mark.parametrize("different", [2, 50, 5000])
def test_every_row_of_a_hash_is_found_in_runs_made_and_merged(
    monkeypatch: pytest.MonkeyPatch, directory_rows: int, directory_needles: int, different: int
) -> None:
    monkeypatch.setattr(runs, "DIRECTORY_ROWS", directory_rows)
    monkeypatch.setattr(runs, "DIRECTORY_NEEDLES", directory_needles)
    monkeypatch.setattr(runs, "MERGED_AT_ONCE", 37)
    random = np.random.default_rng(different)
    made, hashes, numbers = [], np.empty(0, np.uint64), np.empty(0, np.uint32)
    for rows in (1, 2, 3, 100, 700):
        mine = random_hashes(random, rows, different)
        mine_numbers = np.arange(len(numbers), len(numbers) + rows, dtype=np.uint32)
        made.append(make_run(mine, mine_numbers))
        hashes, numbers = np.concatenate((hashes, mine)), np.concatenate((numbers, mine_numbers))
    sought = np.sort(np.concatenate((random_hashes(random, 300, different), hashes[::3])))
    whole = merge(made)
    assert pairs(whole, sought) == expected(hashes, numbers, sought)
    late = merge([merge(made[:2]), *made[2:]], first=103)
    assert len(late) == len(numbers) - 103
    assert pairs(late, sought) == expected(hashes[103:], numbers[103:], sought)
    one_by_one = [pair for run in made for pair in pairs(run, sought)]
    assert sorted(one_by_one) == expected(hashes, numbers, sought)


def test_rows_of_equal_hashes_stay_in_the_order_they_came() -> None:
    run = merge([make_run(np.full(3, 7, np.uint64), np.arange(3 * i, 3 * i + 3)) for i in range(3)])
    assert run.numbers.tolist() == list(range(9))


def test_an_empty_run_finds_nothing_and_merges() -> None:
    nothing = make_run(np.empty(0, np.uint64), np.empty(0, np.uint32))
    assert pairs(nothing, np.array([0, 1], np.uint64)) == []
    one = make_run(np.array([5], np.uint64), np.array([0], np.uint32))
    assert merge([nothing, one]).numbers.tolist() == [0]
    assert len(merge([one, nothing], first=1)) == len(merge([nothing, nothing])) == 0


def test_a_large_run_takes_at_most_twelve_bytes_a_row() -> None:
    random = np.random.default_rng(2)
    for rows in (runs.DIRECTORY_ROWS, 2 * runs.DIRECTORY_ROWS - 1, 2 * runs.DIRECTORY_ROWS):
        run = make_run(random.integers(0, 1 << 64, rows, np.uint64), np.arange(rows, dtype=np.uint32))
        assert len(run.starts)
        assert sum(array.nbytes for array in run.arrays().values()) <= 12 * rows + 4
