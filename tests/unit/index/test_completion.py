"""Completion finds what begins so, whatever the case, and whatever has come since."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events.dictionary import Dictionary
from libs.index import completion
from libs.index.completion import Completion

STRINGS = st.lists(
    st.one_of(
        st.sampled_from(
            ["", "a", "A", "ab", "Ab", "STRASSE", "straße", "Strom", "ﬁx", "FI", "İstanbul", "日本"]
        ),
        st.text(max_size=4),
    ),
    unique=True,
    max_size=60,
)
PREFIXES = st.one_of(
    st.sampled_from(["", "a", "AB", "ss", "stras", "STRAß", "f", "i̇", "日"]), st.text(max_size=3)
)


@pytest.mark.parametrize("run", [1, 3, 8, 1000])
def test_completion_finds_what_begins_so(run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "RUN", run)

    @settings(max_examples=80, deadline=None)
    @given(STRINGS, STRINGS, PREFIXES, st.integers(1, 3))
    def check(strings: list[str], later: list[str], prefix: str, step: int) -> None:
        values = Dictionary(None)
        found = Completion(values)
        for part in (strings, later):
            for string in part:
                values.add(string)
            numbers = np.arange(0, len(values), step, dtype=np.uint32)
            named = values.strings(numbers.tolist())
            expected = [n for n, s in enumerate(named) if s.casefold().startswith(prefix.casefold())]
            assert found.places(numbers, prefix).tolist() == expected

    check()


def test_of_a_million_strings_few_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "RUN", 1 << 10)
    values = Dictionary(None)
    for number in range(100_000):
        values.add(f"value {number * 7919 % 100_000:06}")
    numbers = np.arange(len(values), dtype=np.uint32)
    asked = Completion(values)
    asked.places(numbers, "value 04")
    read = []
    one = Dictionary.__getitem__
    monkeypatch.setattr(
        Dictionary, "__getitem__", lambda held, number: read.append(number) or one(held, number)
    )
    assert len(asked.places(numbers, "Value 0421")) == 100
    assert len(read) < 2 * 98 * 11 + (1 << 10)  # bisections of the runs, and the last one sorted anew
