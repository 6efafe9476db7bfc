"""How do some sets lie to one another? The sizes of all their intersections, exact.

The sets are cut into disjoint regions, one for each choice of sets that some customer is in and no other. With
every set the regions at hand are split in two, so all work is on bitmaps that together are the union: n sets cost
n times the union, however many of the 2ⁿ − 1 regions there are. An intersection is the sum of the regions in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from pyroaring import BitMap

MIN_SETS, MAX_SETS = 2, 10


@dataclass(frozen=True, slots=True)
class Intersection:
    """Of the sets at some places: how many are in all of them, and of those in no other set."""

    indexes: tuple[int, ...]
    size: int
    exclusive: int


def compare(sets: Sequence[BitMap]) -> list[Intersection]:
    """Return the intersection of each non-empty choice of sets: of one first, in the order of places."""
    exclusive = region_sizes(sets)
    sizes = _within(exclusive, len(sets))
    places = range(len(sets))
    choices = [choice for count in places for choice in combinations(places, count + 1)]
    masks = [sum(1 << place for place in choice) for choice in choices]
    return [
        Intersection(choice, sizes[mask], exclusive[mask])
        for choice, mask in zip(choices, masks, strict=True)
    ]


def region_sizes(sets: Sequence[BitMap]) -> list[int]:
    """Return how many are in exactly the sets of each mask (bit i: in sets[i]), 2ⁿ numbers; 0 for none."""
    regions: dict[int, BitMap] = {}
    for place, members in enumerate(sets):
        split: dict[int, BitMap] = {}
        rest = members
        for mask, region in regions.items():
            inside = region & members
            if inside:
                split[mask | 1 << place] = inside
                rest = rest - inside
                region = region - inside
            if region:
                split[mask] = region
        if rest:
            split[1 << place] = rest
        regions = split
    sizes = [0] * (1 << len(sets))
    for mask, region in regions.items():
        sizes[mask] = len(region)
    return sizes


def _within(exclusive: Sequence[int], sets: int) -> list[int]:
    """Return for each mask the sum over all masks that hold it: n · 2ⁿ additions instead of 4ⁿ."""
    sums = list(exclusive)
    for place in range(sets):
        bit = 1 << place
        for mask in range(len(sums)):
            if not mask & bit:
                sums[mask] += sums[mask | bit]
    return sums
