"""What was handed out never changes: views of tails and of profiles, while more comes in."""

from pathlib import Path
from typing import Any

import numpy as np

from libs.events.batch import Kind
from libs.events.dictionary import Dictionary
from libs.events.profile import Profile, Profiles
from libs.index import tail
from libs.index.condition import MISSING
from libs.index.profiles import ProfileTable, ProfileView, dump
from libs.index.rows import Rows
from libs.index.tail import Tail
from libs.storage import arrays

NUMBER, STRING, BOOL = (0, Kind.NUMBER), (1, Kind.STRING), (2, Kind.BOOL)


def append(into: Tail, first: int, rows: int, pieces: Any = ()) -> None:
    numbers = np.arange(first, first + rows)
    into.append(numbers.astype(np.uint32), numbers * 10, numbers.astype(np.uint32), pieces)


def frozen(view: Rows) -> tuple[Any, ...]:
    columns = {key: column.tolist() for key, column in view.columns.items()}
    return view.customer.tolist(), view.time.tolist(), view.arrival.tolist(), repr(columns)


def test_a_view_of_a_tail_stays_as_it_is_while_the_tail_grows() -> None:
    growing, seen = Tail(), []
    first = 0
    for rows in (1, 3, tail.FIRST_CAPACITY, 5, 3 * tail.FIRST_CAPACITY):
        pieces = [(NUMBER, None, np.full(rows, 0.5)), (BOOL, np.array([0], np.uint32), np.array([False]))]
        append(growing, first, rows, pieces[: 1 + first % 2])
        first += rows
        assert len(growing) == first
        seen.append((growing.view(), frozen(growing.view())))
    for view, before in seen:
        assert frozen(view) == before
    assert growing.view().customer.tolist() == list(range(first))


def test_a_column_that_comes_late_is_missing_before() -> None:
    growing = Tail()
    append(growing, 0, 2)
    early = growing.view()
    pieces = [
        (NUMBER, np.array([1], np.uint32), np.array([2.5])),
        (STRING, None, np.array([7, 8], np.uint32)),
        (BOOL, np.array([0, 1], np.uint32), np.array([True, False])),
    ]
    append(growing, 2, 2, pieces)
    view = growing.view()
    assert early.columns == {}
    assert np.isnan(view.columns[NUMBER]).tolist() == [True, True, True, False]
    assert view.columns[STRING].tolist() == [MISSING, MISSING, 7, 8]
    assert view.columns[BOOL].tolist() == [0, 0, 2, 1]


class Table:
    """Profiles with an age and a name, and their dictionaries."""

    def __init__(self) -> None:
        self.names, self.values, self.table = Dictionary(None), Dictionary(None), ProfileTable()

    def update(self, **ages: Any) -> None:
        """Replace profiles: c5=3 sets the age of customer 5, None leaves an empty profile."""
        age = self.names.add("age")
        changes = {}
        for name, value in ages.items():
            kinds: tuple[Any, ...] = ({}, {}, {})
            if value is not None:
                kind = {str: 0, float: 1, bool: 2}[type(value)]
                kinds[kind][age] = self.values.add(value) if kind == 0 else value
            changes[int(name[1:])] = Profile(*kinds)
        owners = sorted(changes)
        self.table.update(Profiles(np.array(owners, np.uint32), [changes[owner] for owner in owners]))

    def data(self, view: ProfileView, *customers: int) -> list[dict[str, Any]]:
        return view.data(np.array(customers, np.uint32), (), self.names, self.values)


def test_a_view_of_profiles_stays_as_it_is_while_they_change() -> None:
    table = Table()
    table.update(c1=1.0, c70000="old", c2=True)
    first = table.table.view()
    before = table.data(first, 1, 2, 70_000, 3)
    assert before == [{"age": 1.0}, {"age": True}, {"age": "old"}, {}]
    table.update(c1="new", c3=9.0)
    second = table.table.view()
    table.update(c1=None, c70000=2.0, c200000=False)
    table.update(c2=False)
    assert table.data(first, 1, 2, 70_000, 3) == before
    assert table.data(second, 1, 2, 3) == [{"age": "new"}, {"age": True}, {"age": 9.0}]
    third = table.table.view()
    assert table.data(third, 1, 2, 70_000, 200_000) == [{}, {"age": False}, {"age": 2.0}, {"age": False}]
    assert [set(view.holders) for view in (first, second, third)] == [
        {1, 2, 70_000},
        {1, 2, 3, 70_000},
        {1, 2, 3, 70_000, 200_000},
    ]
    assert table.table.view() is third


def test_what_nobody_holds_is_written_in_place_and_what_is_held_is_copied() -> None:
    table = Table()
    table.update(c1=1.0, c70000=1.0)
    held = table.table.view()
    [key] = held.columns
    table.update(c1=2.0)
    after = table.table.view()
    assert after.columns[key][0] is not held.columns[key][0]
    assert after.columns[key][1] is held.columns[key][1]


def test_profiles_come_back_from_a_file_and_change_without_changing_it(tmp_path: Path) -> None:
    table = Table()
    table.update(c1=1.0, c5="old", c70000=True, c200000=None)
    table.update(c70000=4.0)
    before = table.data(table.table.view(), 1, 5, 70_000, 200_000)
    arrays.write(tmp_path / "profiles", "profiles", 1, None, dump(table.table.view()))
    for _ in range(2):
        table.table = ProfileTable.restore(arrays.open_arrays(tmp_path / "profiles", "profiles", 1).arrays)
        view = table.table.view()
        assert set(view.holders) == {1, 5, 70_000, 200_000}
        assert table.data(view, 1, 5, 70_000, 200_000) == before
        table.update(c1="new", c6=True, c70000=None, c300000=2.0)
        assert table.data(view, 1, 5, 6, 70_000) == [*before[:2], {}, before[2]]
        after = table.data(table.table.view(), 1, 5, 6, 70_000, 200_000, 300_000)
        assert after == [{"age": "new"}, {"age": "old"}, {"age": True}, {}, {}, {"age": 2.0}]


def test_a_chunk_of_a_column_is_made_where_somebody_has_a_value() -> None:
    table = Table()
    table.update(c1=1.0)
    table.update(c70000="x", c140000=None)
    columns = table.table.view().columns
    assert {key[1]: [chunk is not None for chunk in chunks] for key, chunks in columns.items()} == {
        Kind.NUMBER: [True, False, False],
        Kind.STRING: [False, True, False],
    }
