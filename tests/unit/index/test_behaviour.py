"""Figures are exact and orders strict, on numbers and times made to go wrong."""

from fractions import Fraction
from itertools import pairwise, product
from math import inf, nextafter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from libs.index import figures
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
    places = np.array([owner for owner, _ in events], np.uint32)
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
def test_steps_are_found_in_strict_order_and_in_time(
    steps: list[list[tuple[int, int]]], within: int | None
) -> None:
    expected = {
        chain[0][0]
        for chain in product(*steps)
        if len({owner for owner, _ in chain}) == 1
        and all(one[1] < other[1] for one, other in pairwise(chain))
        and (within is None or chain[-1][1] - chain[0][1] <= within)
    }
    for customers in (3, 10**6):  # the two ways of numbering them
        assert set(in_order([_done(each) for each in steps], within, customers)) == expected


def _done(events: list[tuple[int, int]]) -> Done:
    owners, instants = [owner for owner, _ in events], [time for _, time in events]
    return np.array(owners, np.uint32), np.array(instants, np.int64)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=12), st.sampled_from([1, 10**8]))
def test_different_codes_are_counted_in_any_order(events: list[tuple[int, int]], far: int) -> None:
    places = np.array([place for place, _ in events], np.uint32)
    codes = np.array([code * far for _, code in events], np.int64)
    expected = [len({code for place, code in events if place == each}) for each in range(3)]
    assert figures.distinct(places, codes, 3).tolist() == expected
