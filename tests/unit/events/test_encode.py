"""Do joined and thinned batches number the strings their rows have, and no others?"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from libs.events import encode
from libs.events.batch import Batch, Column, Kind, Strings
from libs.events.dictionary import Dictionary

TEXTS = st.lists(st.sampled_from(["", "a", "b", "é", "c"]))


@given(TEXTS)
def test_strings_are_told_apart_in_order_of_first_use(texts: list[str]) -> None:
    strings = Strings.of(texts)
    assert strings.tolist() == texts
    assert strings.distinct == list(dict.fromkeys(texts))


@given(TEXTS, TEXTS, st.data())
def test_numbers_are_those_of_the_rows_left(first: list[str], second: list[str], data: st.DataObject) -> None:
    parts = [
        Batch(Strings.of(texts), Strings.of(texts), np.zeros(len(texts), np.int64), texts)
        for texts in (first, second)
    ]
    kept = data.draw(st.lists(st.booleans(), min_size=len(first + second), max_size=len(first + second)))
    batch = encode.take(encode.join(parts), np.array(kept, np.bool_))
    expected = [text for text, keep in zip(first + second, kept, strict=True) if keep]
    dictionary = Dictionary(None)
    numbers = encode.encode_strings(batch.customer_ids, dictionary)
    assert dictionary.strings(numbers.tolist()) == expected
    assert len(dictionary) == len(set(expected))
    assert batch.event_ids == expected


def test_a_column_that_no_row_is_left_of_goes() -> None:
    column = Column("x", Kind.STRING, Strings.of(["s"]), np.array([1], np.uint32))
    batch = Batch(Strings.of(["a", "b"]), Strings.of(["t", "t"]), np.zeros(2, np.int64), None, [column])
    assert encode.take(batch, np.array([True, False])).columns == []
