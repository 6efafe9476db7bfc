"""Strings and numbers: what was given out stays, through commits that fail and restarts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.events import dictionary as dictionaries
from libs.events import string_index
from libs.events.dictionary import Dictionary
from libs.events.string_index import StringIndex
from libs.storage.environment import Environment, scan


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    opened = Environment(tmp_path, "strings", 1, ("strings",))
    yield opened
    opened.close()


def reread(environment: Environment) -> Dictionary:
    dictionary = Dictionary(environment["strings"])
    with environment.read() as txn:
        dictionary.load(txn)
    return dictionary


def commit(environment: Environment, dictionary: Dictionary) -> None:
    with environment.write() as txn:
        length = dictionary.save(txn)
    dictionary.saved(length)


def test_strings_are_numbered_in_order_of_first_use() -> None:
    dictionary = Dictionary(None)
    assert dictionary.add_all(["b", "a", "b", "", "a", "日本"]).tolist() == [0, 1, 0, 2, 1, 3]
    assert dictionary.add_all(["a", "b"]).tolist() == [1, 0]
    assert (dictionary.find("日本"), dictionary.find("c"), len(dictionary)) == (3, None, 4)
    assert dictionary.strings([3, 0]) == ["日本", "b"]
    with pytest.raises(IndexError):
        dictionary[4]


def test_commits_are_read_back_in_order(environment: Environment) -> None:
    dictionary = Dictionary(environment["strings"])
    for strings in (["a", "b"], [], ["b", "c"], ["d" * 300]):
        dictionary.add_all(strings)
        commit(environment, dictionary)
    again = reread(environment)
    assert again.strings(range(len(again))) == ["a", "b", "c", "d" * 300]
    assert [again.find(each) for each in "abc"] == [0, 1, 2]


def test_strings_of_a_failed_commit_are_written_by_the_next(environment: Environment) -> None:
    dictionary = Dictionary(environment["strings"])
    dictionary.add("a")
    commit(environment, dictionary)
    dictionary.add("b")
    with pytest.raises(ZeroDivisionError), environment.write() as txn:
        1 / (dictionary.save(txn) - 2)
    assert len(reread(environment)) == 1
    dictionary.add("c")
    commit(environment, dictionary)
    again = reread(environment)
    assert again.strings(range(3)) == ["a", "b", "c"]


def test_a_reader_takes_in_just_the_news(environment: Environment) -> None:
    dictionary = Dictionary(environment["strings"])
    dictionary.add_all(["a", "b"])
    commit(environment, dictionary)
    reader = reread(environment)
    dictionary.add_all(["c", "d"])
    commit(environment, dictionary)
    with environment.read() as txn:
        reader.load(txn)
        reader.load(txn)
    assert reader.strings(range(len(reader))) == ["a", "b", "c", "d"]


def test_many_small_commits_leave_few_lists_and_a_reader_follows_them(environment: Environment) -> None:
    dictionary, reader = Dictionary(environment["strings"]), Dictionary(environment["strings"])
    for number in range(300):
        dictionary.add(f"string {number:0100}")
        commit(environment, dictionary)
        if not number % 7:
            with environment.read() as txn:
                reader.load(txn)
            assert len(reader) == number + 1
    again = reread(environment)
    with environment.read() as txn:
        lists = list(scan(txn, environment["strings"]))
        reader.load(txn)
    assert len(lists) <= 300 * 110 / dictionaries.CHUNK_BYTES + 1
    assert max(len(each) for _, each in lists) < dictionaries.CHUNK_BYTES + 120
    for each in (again, reader):
        assert each.strings(range(300)) == [f"string {number:0100}" for number in range(300)]
        assert each.find(f"string {299:0100}") == 299


class Indexed:
    """A dictionary on disk, with its index."""

    def __init__(self, environment: Environment, path: Path) -> None:
        self.environment, self.path = environment, path
        self.dictionary = self.opened()

    def opened(self, log_id: str = "log") -> Dictionary:
        """Start."""
        dictionary = Dictionary(self.environment["strings"], StringIndex(self.path, log_id, 7))
        with self.environment.read() as txn:
            dictionary.load(txn)
        return dictionary

    def add(self, strings: list[str]) -> None:
        """Commit some strings, and write the index where it is due."""
        self.dictionary.add_all(strings)
        commit(self.environment, self.dictionary)
        if self.dictionary.wants_index():
            self.dictionary.write_index()


@pytest.fixture
def indexed(tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Indexed:
    monkeypatch.setattr(string_index, "LEAST", 4)
    return Indexed(environment, tmp_path / "indexes" / "strings")


STRINGS = [f"é{number}" for number in range(100)]


def test_a_start_takes_strings_from_the_index_as_they_are_asked_for(indexed: Indexed) -> None:
    indexed.add(STRINGS[:90])
    indexed.add(STRINGS[90:93])
    assert not indexed.dictionary.wants_index()
    again = indexed.opened()
    assert sorted(again._numbers) == sorted(STRINGS[90:93])
    assert [again.find(each) for each in (STRINGS[5], "unknown", STRINGS[91])] == [5, None, 91]
    assert again.add_all(["new", STRINGS[7], "new", STRINGS[92]]).tolist() == [93, 7, 93, 92]
    assert again.add(STRINGS[89]) == 89
    assert again.add("newer") == 94
    assert again.add_all(STRINGS[:93]).tolist() == list(range(93))
    assert len(again._numbers) == 95


def test_an_index_grows_with_its_dictionary_through_restarts(indexed: Indexed) -> None:
    for size in range(10, 101, 10):
        indexed.add(STRINGS[size - 10 : size])
        indexed.dictionary = indexed.opened()
        assert indexed.dictionary.add_all(STRINGS[:size]).tolist() == list(range(size))
    assert len(indexed.opened()._numbers) <= 100 / string_index.GROWTH + 10


def test_strings_that_no_commit_has_written_are_not_in_the_index(indexed: Indexed) -> None:
    indexed.dictionary.add_all(STRINGS[:50])
    commit(indexed.environment, indexed.dictionary)
    indexed.dictionary.add("lost")
    indexed.dictionary.write_index()
    again = indexed.opened()
    assert (again.find("lost"), len(again)) == (None, 50)
    assert again.add(STRINGS[99]) == 50


@pytest.mark.parametrize("harm", ["flipped", "empty", "other log", "other version", "put back"])
def test_an_index_that_is_of_no_use_is_left_out_and_deleted(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    indexed.add(STRINGS[:50])
    content = indexed.path.read_bytes()
    if harm in ("flipped", "empty"):
        indexed.path.write_bytes(content[:-1] + bytes((content[-1] ^ 1,)) if harm == "flipped" else b"")
    if harm == "other version":
        monkeypatch.setattr(string_index, "VERSION", string_index.VERSION + 1)
    if harm == "put back":  # to a state of 40 strings, from which other 60 followed
        with indexed.environment.write() as txn:
            txn.drop(indexed.environment["strings"], delete=False)
        indexed.dictionary = Dictionary(indexed.environment["strings"])
        indexed.add(STRINGS[:40] + [f"other {number}" for number in range(60)])
    again = indexed.opened("other" if harm == "other log" else "log")
    assert not indexed.path.exists()
    assert again.add_all(STRINGS[:40]).tolist() == list(range(40))
    assert again.find(STRINGS[45]) == (None if harm == "put back" else 45)
