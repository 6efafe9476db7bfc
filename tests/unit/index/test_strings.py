"""A test of strings reads each string once, and remembers what it found as the dictionary grows."""

import pytest
from pyroaring import BitMap

from libs.events.dictionary import Dictionary
from libs.index import strings
from libs.index.strings import How, Like, StringTests


def test_a_string_is_read_once_a_test() -> None:
    read: list[str] = []

    class Reading(Dictionary):
        def __getitem__(self, number: int) -> str:
            read.append(super().__getitem__(number))
            return read[-1]

    values = Reading(None)
    values.add_all(["apple", "pear", "grape"])
    found, contains = StringTests(values), Like(How.CONTAINS, ("ap",))
    assert found.accepted(contains, BitMap([0, 1])).tolist() == [0]
    values.add("map")
    assert found.accepted(contains, BitMap([0, 1, 2, 3])).tolist() == [0, 2, 3]
    assert found.accepted(contains, BitMap([1, 2])).tolist() == [2]
    assert read == ["apple", "pear", "grape", "map"]


def test_tests_that_were_not_asked_for_long_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strings, "MAX_TESTS", 2)
    values = Dictionary(None)
    values.add_all(["a", "b", "c"])
    found = StringTests(values)
    for letter in "abcabc":
        numbers = found.accepted(Like(How.STARTS_WITH, (letter,)), BitMap([0, 1, 2])).tolist()
        assert values.strings(numbers) == [letter]
    assert len(found._found) == 2
