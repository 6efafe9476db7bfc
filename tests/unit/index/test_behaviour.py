"""Figures are exact and orders strict, on numbers and times made to go wrong."""

from fractions import Fraction
from math import inf, nextafter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.index import behaviour, figures
from libs.index.behaviour import Done, in_order
from libs.index.condition import NumberRange

finite = st.floats(allow_nan=False, allow_infinity=False)
cents = st.integers(-(10**6), 10**6).map(lambda cent: cent / 100)
hard = st.sampled_from([0.1, 0.2, 0.3, -0.3, 1e16, -1e16, 1.0, 2.0**53, 2.0**-53, 1e308, -1e308, 5e-324])
owned = st.lists(st.tuples(st.integers(0, 2), st.one_of(hard, cents, finite)), max_size=20)


def rounded(numbers: list[float]) -> float:
    total = sum(map(Fraction, numbers), Fraction())
    try:
        return float(total)
    except OverflowError:
        return inf if total > 0 else -inf


@given(owned, st.booleans(), st.data())
def test_a_sum_is_rounded_once_and_an_average_is_that_divided(
    events: list[tuple[int, float]], average: bool, data: st.DataObject
) -> None:
    mine = [[number for owner, number in events if owner == each] for each in range(3)]
    exact = [rounded(each) / (len(each) if average and each else 1) for each in mine]
    about = data.draw(st.sampled_from(exact))
    if about not in (inf, -inf):
        about = data.draw(st.sampled_from([about, nextafter(about, inf), nextafter(about, -inf)]))
    places = np.array([owner for owner, _ in events], np.int64)
    numbers = np.array([number for _, number in events], np.float64)
    for accepts, holds in (
        (NumberRange(lower=about), lambda figure: figure >= about),
        (NumberRange(upper=about, upper_open=True), lambda figure: figure < about),
        (NumberRange(about, about), lambda figure: figure == about),
    ):
        if about in (inf, -inf):
            continue  # no rule can name it
        found = figures.sums_accepted(accepts, places, numbers, 3, average).tolist()
        assert found == [bool(each) and holds(figure) for each, figure in zip(mine, exact, strict=True)]


def test_a_sum_that_overflows_on_the_way_only_is_what_it_is() -> None:
    assert figures.exact_sum([1e308, 1e308, -1e308]) == 1e308
    assert figures.exact_sum([1e308, 1e308, 1.0]) == inf
    assert figures.exact_sum([-1e308, -1e308, 1.0]) == -inf


times = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), max_size=8)


@given(st.lists(times, min_size=2, max_size=4), st.one_of(st.none(), st.integers(0, 12)))
def test_an_order_is_found_where_times_must_be_numbered_anew(
    steps: list[list[tuple[int, int]]], within: int | None
) -> None:
    """Times far apart do not fit beside a customer in 64 bits: their places among all times stand for them."""
    done = [_done(each, 0) for each in steps]
    plain = in_order(done, within)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(behaviour, "KEY_BITS", 0)
        assert in_order(done, within) == plain
    assert in_order([_done(each, -(10**15)) for each in steps], within) == plain


def _done(events: list[tuple[int, int]], start: int) -> Done:
    owners, instants = [owner for owner, _ in events], [time for _, time in events]
    return np.array(owners, np.uint32), np.array(instants, np.int64) + start
