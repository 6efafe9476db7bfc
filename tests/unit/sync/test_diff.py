"""Set arithmetic and cutting, against plain sets."""

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from services.sync.diff import behind, size, slices, subtract

NUMBERS = st.dictionaries(st.sampled_from("abc"), st.sets(st.integers(0, 200_000)))


def pairs(sets: dict[str, set[int]]) -> set[tuple[str, int]]:
    return {(shard, number) for shard, numbers in sets.items() for number in numbers}


@given(NUMBERS, NUMBERS)
def test_subtract_is_set_difference(left, right):
    rest = subtract({s: BitMap(n) for s, n in left.items()}, {s: BitMap(n) for s, n in right.items()})
    assert pairs(rest) == pairs(left) - pairs(right)
    assert size(rest) == len(pairs(left) - pairs(right))
    assert all(rest.values())


@given(NUMBERS, st.integers(1, 7), st.integers(1, 7))
def test_slices_cover_everything_once_in_order_and_are_full(sets, most, first):
    groups = list(slices({s: BitMap(n) for s, n in sets.items()}, most, first=first))
    flat = [[(shard, number) for shard, part in group for number in part] for group in groups]
    assert [pair for group in flat for pair in group] == sorted(pairs(sets))
    assert [len(group) for group in flat[:-1]] == [first, *[most] * (len(flat) - 2)][: len(flat) - 1]
    assert all(len(group) <= (most if index else first) for index, group in enumerate(flat))


def test_what_lies_behind_a_member_is_what_slices_yield_behind_it():
    numbers = {"a": BitMap([1, 5, 9]), "b": BitMap([2]), "c": BitMap([0, 7])}
    order = [(shard, number) for shard in sorted(numbers) for number in numbers[shard]]
    for place, last in enumerate(order):
        rest = behind(numbers, last)
        assert [(shard, n) for group in slices(rest, 2) for shard, part in group for n in part] == order[
            place + 1 :
        ]
    assert behind(numbers, None) == numbers
    assert list(slices(behind({}, ("a", 1)), 2)) == []
