"""Which members are to be added and which removed? Pure set arithmetic on bitmaps of members' numbers.

Numbers mean something only within one epoch and shard; whoever calls this has seen to it that both sides are
of the same epoch (`services.sync.run`).
"""

from collections.abc import Iterator, Mapping

from pyroaring import BitMap

Numbers = Mapping[str, BitMap]
"""The members' numbers in each shard, by the name of the shard."""


def subtract(left: Numbers, right: Numbers) -> dict[str, BitMap]:
    """Return what is in `left` and not in `right`; shards left empty are not in the result."""
    nobody = BitMap()
    rest = {shard: numbers - right.get(shard, nobody) for shard, numbers in left.items()}
    return {shard: numbers for shard, numbers in rest.items() if numbers}


def intersect(left: Numbers, right: Numbers) -> dict[str, BitMap]:
    """Return what is in both; shards left empty are not in the result."""
    both = {shard: numbers & right[shard] for shard, numbers in left.items() if shard in right}
    return {shard: numbers for shard, numbers in both.items() if numbers}


def unite(left: Numbers, right: Numbers) -> dict[str, BitMap]:
    """Return what is in either."""
    nobody = BitMap()
    return {shard: left.get(shard, nobody) | right.get(shard, nobody) for shard in sorted({*left, *right})}


def size(numbers: Numbers) -> int:
    """Return how many members there are in all shards."""
    return sum(len(shard) for shard in numbers.values())


def behind(numbers: Numbers, last: tuple[str, int] | None) -> Numbers:
    """Return the members behind a (shard, number) in the order of `slices`; all where that is None."""
    if last is None:
        return numbers
    shard, number = last
    rest = {name: part for name, part in numbers.items() if name > shard}
    if shard in numbers:
        rest[shard] = numbers[shard][numbers[shard].rank(number) :]
    return rest


def slices(
    numbers: Numbers, most: int, *, first: int | None = None
) -> Iterator[tuple[tuple[str, BitMap], ...]]:
    """Cut members into groups of `most` in ascending order of shard and number; the last may be smaller.

    A group is (shard, numbers) pairs, none empty. The first group has `first` members where that is given.
    """
    room = first or most
    group: list[tuple[str, BitMap]] = []
    for shard in sorted(numbers):
        start = 0
        while start < len(numbers[shard]):
            part = numbers[shard][start : start + room]
            group.append((shard, part))
            start += len(part)
            room -= len(part)
            if room == 0:
                yield tuple(group)
                group, room = [], most
    if group:
        yield tuple(group)
