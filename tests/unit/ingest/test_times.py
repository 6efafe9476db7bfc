"""Are instants read in bulk as `parse_instant` reads each?"""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libs.instants import parse_instant
from services.ingest.times import NO_INSTANT, parse_instants

DIGITS = st.integers(0, 99).map("{:02}".format)
PLAIN = st.tuples(
    st.sampled_from(["1970", "2024", "2000", "1900", "0001", "0000", "9999", "2025"]),
    st.just("-"),
    st.one_of(st.integers(0, 13).map("{:02}".format), DIGITS),
    st.just("-"),
    st.one_of(st.integers(0, 32).map("{:02}".format), DIGITS),
    st.just("T"),
    st.integers(0, 25).map("{:02}".format),
    st.just(":"),
    st.integers(55, 61).map("{:02}".format),
    st.just(":"),
    st.integers(0, 61).map("{:02}".format),
    st.sampled_from(["", ".", ".1", ".12", ".123", ".9999", ".123456", ".123456789", ".1234567890123"]),
    st.sampled_from(["Z", "z", "", "+00:00", "-05:30", "+23:59", "+24:00", "-00:60", ",00:00", "+0000"]),
).map("".join)


@st.composite
def nearly(draw: st.DrawFn) -> str:
    """An instant, perhaps with one character changed."""
    text = draw(PLAIN)
    if draw(st.booleans()):
        place = draw(st.integers(0, len(text) - 1))
        text = text[:place] + draw(st.sampled_from("0:9/-T.Z+,; ٢é")) + text[place + 1 :]
    return text


@given(st.lists(nearly() | st.text(max_size=30)))
@example(["2024-02-29T00:00:00Z", "2023-02-29T00:00:00Z", "2024-03-01T00:00:00Z"])
@example(["2026-01-01T00:00:00,00:00", "2026-01-01T00:00:00-00:30"])
def test_texts_are_read_as_one_by_one(texts: list[str]) -> None:
    singly = [parse_instant(text) for text in texts]
    assert parse_instants(texts).tolist() == [NO_INSTANT if each is None else each for each in singly]


@pytest.mark.parametrize("year", [1900, 1970, 2000, 2024, 2025, 2100])
def test_every_day_of_a_year_is_read(year: int) -> None:
    texts = [
        f"{year}-{month:02}-{day:02}T12:34:56.789+01:00" for month in range(1, 13) for day in range(1, 32)
    ]
    singly = [parse_instant(text) for text in texts]
    assert parse_instants(texts).tolist() == [NO_INSTANT if each is None else each for each in singly]
