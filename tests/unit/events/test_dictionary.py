"""Strings and numbers: what was given out stays, through commits that fail and restarts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.events.dictionary import Dictionary
from libs.storage.environment import Environment


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
