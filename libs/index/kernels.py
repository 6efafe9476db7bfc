"""Which loops over events are compiled? The few for which numpy would take several passes and copies.

Each is one pass over arrays, compiled by numba for one set of types. What was compiled is kept in a cache beside
this module (NUMBA_CACHE_DIR names another folder; where neither can be written, every process compiles anew,
which takes seconds). Taking it from there still takes half a second for all, so a process calls `load` in a thread
of its own as it starts; a loop that is called before is loaded then.

The loops release the interpreter's lock. They do not check bounds: customers are numbers below the length of the
arrays they index, places below the number of places. Arrays are contiguous; what is only read may be a mapped file.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np

_loading = Lock()
ONE, SIXTEEN, TOP_SIX, LOW_16 = np.uint64(1), np.uint64(16), np.uint64(58), np.uint64(0xFFFF)
SPREAD = np.uint64(0x03F79D71B4CB0A89)
"""A de Bruijn sequence: times a power of two, its top six bits are different for each of the 64."""
PLACE_OF = np.zeros(64, np.uint8)
"""Which power of two those six bits stand for. It takes a tenth longer than an instruction of the processor would."""
for power in range(64):
    PLACE_OF[(int(SPREAD) << power) % (1 << 64) >> 58] = power


class Kernel:
    """A loop, compiled when it is first called."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.__doc__ = function.__doc__
        self._python = function
        self._signature = signature
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Run it, on arguments of exactly its types."""
        return (self._compiled or self.load())(*arguments)

    def load(self) -> Callable[..., Any]:
        """Compile it, or take it from the cache."""
        import numba  # a quarter of a second

        with _loading:
            if self._compiled is None:
                try:
                    self._compiled = numba.njit(self._signature, nogil=True, cache=True)(self._python)
                except RuntimeError:  # there is nowhere to keep it
                    self._compiled = numba.njit(self._signature, nogil=True)(self._python)
        return self._compiled


KERNELS: list[Kernel] = []


def load() -> None:
    """Have every loop ready."""
    for kernel in KERNELS:
        kernel.load()


def compiled(signature: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a kernel of a function. Signatures are numba's; `r.u4` stands for an array of uint32 only read."""

    def decorate(function: Callable[..., Any]) -> Kernel:
        full = signature
        for kind in ("b1", "u1", "u2", "u4", "u8", "i8", "f8"):
            full = full.replace(f"r.{kind}", f"Array({kind}, 1, 'C', True)")
        kernel = Kernel(function, full)
        KERNELS.append(kernel)
        return kernel

    return decorate


@compiled("void(r.u4, u8[::1])")
def mark(owners: Any, hit: Any) -> None:
    """Set the bits of some customers, (n,) uint32, in `hit`, (words,) uint64: bit c % 64 of word c // 64.

    Bits are eight times closer in the cache than bytes: marks of 3M events of 1M customers take 60 % of the time,
    and a bitmap of them is made without packing.
    """
    for place in range(len(owners)):
        customer = owners[place]
        hit[customer >> 6] |= ONE << np.uint64(customer & 63)


@compiled("void(r.u1, r.u4, u8[::1])")
def mark_where(bits: Any, owners: Any, hit: Any) -> None:
    """Set the bits of the customers, (n,), of those rows whose bit is set, in `hit`.

    `bits`, (⌈n / 8⌉,) uint8, are packed with the first row lowest: numpy packs a mask in a fraction of the time
    this takes, and rows that do not pass cost 1/64 of a look.
    """
    whole = len(bits) // 8 * 8
    words = bits[:whole].view(np.uint64)
    for word in range(len(words)):
        left = words[word]
        while left:
            low = left & (~left + ONE)
            customer = owners[word * 64 + PLACE_OF[(low * SPREAD) >> TOP_SIX]]
            hit[customer >> 6] |= ONE << np.uint64(customer & 63)
            left ^= low
    for row in range(whole * 8, len(owners)):
        if bits[row >> 3] >> (row & 7) & 1:
            hit[owners[row] >> 6] |= ONE << np.uint64(owners[row] & 63)


@compiled("void(r.u4, u1[::1])")
def count(owners: Any, counts: Any) -> None:
    """Add one to `counts`, (customers,) uint8, for each event of a customer, (n,) uint32, up to 255."""
    for place in range(len(owners)):
        customer = owners[place]
        counts[customer] += counts[customer] < 255


@compiled("void(r.u4, u1[::1], u1)")
def add_to_each(owners: Any, counts: Any, step: int) -> None:
    """Add a byte to the counts, modulo 256, of some customers, (n,) uint32, once for each time they are met."""
    for place in range(len(owners)):
        counts[owners[place]] += step


@compiled("void(r.u1, r.u4, u1[::1])")
def count_where(bits: Any, owners: Any, counts: Any) -> None:
    """Add one to `counts`, up to 255, for each event, (n,), whose bit is set; `bits` as `mark_where` has them."""
    whole = len(bits) // 8 * 8
    words = bits[:whole].view(np.uint64)
    for word in range(len(words)):
        left = words[word]
        while left:
            low = left & (~left + ONE)
            customer = owners[word * 64 + PLACE_OF[(low * SPREAD) >> TOP_SIX]]
            counts[customer] += counts[customer] < 255
            left ^= low
    for row in range(whole * 8, len(owners)):
        if bits[row >> 3] >> (row & 7) & 1:
            counts[owners[row]] += counts[owners[row]] < 255


@compiled("void(r.u1, i8[::1])")
def set_places(bits: Any, places: Any) -> None:
    """Write where bits are set, ascending, to `places`, (as many,) int64; `bits` as `mark_where` has them."""
    whole = len(bits) // 8 * 8
    words = bits[:whole].view(np.uint64)
    found = 0
    for word in range(len(words)):
        left = words[word]
        while left:
            low = left & (~left + ONE)
            places[found] = word * 64 + PLACE_OF[(low * SPREAD) >> TOP_SIX]
            found += 1
            left ^= low
    for row in range(whole * 8, len(bits) * 8):
        if bits[row >> 3] >> (row & 7) & 1:
            places[found] = row
            found += 1


@compiled("void(r.u8, r.i8, r.i8, u2[::1])")
def fill_containers(words: Any, counts: Any, starts: Any, out: Any) -> None:
    """Write the contents of roaring's containers of 65,536 bits, 1,024 `words` each, to `out`, little-endian uint16.

    Container i has `counts[i]` bits and starts at `out[starts[i]]`: the words themselves where that is more than
    4,096, else the places of the bits, ascending.
    """
    for container in range(len(counts)):
        at = starts[container]
        if counts[container] > 4096:
            for word in range(container * 1024, container * 1024 + 1024):
                left = words[word]
                for _ in range(4):
                    out[at] = left & LOW_16
                    left >>= SIXTEEN
                    at += 1
        elif counts[container]:
            for word in range(1024):
                left = words[container * 1024 + word]
                while left:
                    low = left & (~left + ONE)
                    out[at] = word * 64 + PLACE_OF[(low * SPREAD) >> TOP_SIX]
                    at += 1
                    left ^= low


@compiled("void(r.u1, r.b1, b1[::1])")
def look_up_8(codes: Any, table: Any, passing: Any) -> None:
    """Say which codes, (n,) uint8, are true in a table, (more than the greatest,) bool."""
    for row in range(len(codes)):
        passing[row] = table[codes[row]]


@compiled("void(r.u2, r.b1, b1[::1])")
def look_up_16(codes: Any, table: Any, passing: Any) -> None:
    """Say which codes, (n,) uint16, are true in a table, (more than the greatest,) bool."""
    for row in range(len(codes)):
        passing[row] = table[codes[row]]


@compiled("void(r.u4, r.b1, b1[::1])")
def look_up(column: Any, table: Any, passing: Any) -> None:
    """Say which numbers, (n,) uint32, are true in a table, (m + 1,) bool, whose last place stands for all beyond.

    Not to branch on a number takes a third of the time where half are true.
    """
    last = np.uint32(len(table) - 1)
    for place in range(len(column)):
        passing[place] = table[min(column[place], last)]


@compiled("i8(r.b1, r.u4, i8[::1])")
def select(wanted: Any, owners: Any, places: Any) -> int:
    """Write the places of those events, (n,), whose customer is `wanted`, (customers,) bool; return how many.

    `places` is (n + 1,) int64.
    """
    found = 0
    for place in range(len(owners)):
        places[found] = place
        found += wanted[owners[place]]
    return found


@compiled("i8(r.u4, u4[::1], u4[::1], u4[::1])")
def number(owners: Any, numbers: Any, known: Any, places: Any) -> int:
    """Number the customers of events, (n,) uint32, from 0 as they are met; return how many there are.

    `numbers`, (customers,) uint32, is zero before. Writes who they are to `known`, (n,), and each event's number
    to `places`, (n,).
    """
    size = 0
    for place in range(len(owners)):
        customer = owners[place]
        mine = numbers[customer]
        if mine == 0:
            known[size] = customer
            size += 1
            mine = size
            numbers[customer] = mine
        places[place] = mine - 1
    return size


@compiled("void(r.u4, r.f8, f8[::1], f8[::1], i8[::1])")
def add_up(places: Any, numbers: Any, sums: Any, sizes: Any, counts: Any) -> None:
    """Add numbers, (n,) float64, NaN for none, up by place: sums, sums of absolute values, and how many."""
    for event in range(len(places)):
        value = numbers[event]
        if value == value:
            place = places[event]
            sums[place] += value
            sizes[place] += abs(value)
            counts[place] += 1


@compiled("void(f8[::1], f8[::1], i8[::1], f8, f8, f8, b1, u1[::1])")
def judge_sums(
    sums: Any,
    sizes: Any,
    counts: Any,
    lower: float,
    upper: float,
    rounding: float,
    average: bool,
    verdicts: Any,
) -> None:
    """Say of sums as `add_up` gave them, (places,), whether the exact ones lie in lower … upper, both in.

    Writes 1 for yes, 0 for no, 2 where `rounding`, the relative error of an addition, leaves it open. Sums of one
    or two numbers are exact.
    """
    for place in range(len(sums)):
        terms = counts[place]
        bound = sizes[place] * (terms + 2) * rounding if terms > 2 else 0.0
        low, high = sums[place] - bound, sums[place] + bound
        if average and terms:
            low /= terms
            high /= terms
        if terms == 0 or high < lower or low > upper:
            verdicts[place] = 0
        elif lower <= low and high <= upper:
            verdicts[place] = 1
        else:
            verdicts[place] = 2  # what overflowed on the way is not a number, and comes here


@compiled("void(r.u4, r.f8, f8[::1], b1)")
def find_extremes(places: Any, numbers: Any, found: Any, greatest: bool) -> None:
    """Lower `found`, (places,) float64, to the least number of each place, or raise it to the greatest."""
    for event in range(len(places)):
        value, place = numbers[event], places[event]
        if (value > found[place]) if greatest else (value < found[place]):
            found[place] = value


@compiled("void(r.u4, r.u4, i8[::1], i8[::1])")
def count_changes(places: Any, codes: Any, last: Any, counts: Any) -> None:
    """Count each place's different codes, of events in the order of their codes, (n,) uint32.

    `last`, (places,) int64, is below every code before.
    """
    for event in range(len(places)):
        place, code = places[event], codes[event]
        counts[place] += last[place] != code
        last[place] = code


@compiled("void(r.u4, i8[::1], i8[::1])")
def order_by(codes: Any, starts: Any, order: Any) -> None:
    """Write the places of codes, (n,), in the order of the codes. `starts`, (greatest + 2,) int64, is zero before."""
    for event in range(len(codes)):
        starts[codes[event] + 1] += 1
    for code in range(1, len(starts)):
        starts[code] += starts[code - 1]
    for event in range(len(codes)):
        code = codes[event]
        order[starts[code]] = event
        starts[code] += 1


@compiled("void(r.u4, r.i8, r.u4, i8[::1], u4[::1], i8[::1])")
def find_first(places: Any, times: Any, arrivals: Any, least: Any, soonest: Any, found: Any) -> None:
    """Write to `found` the event of each place with the least time, and of those the least arrival.

    `least` and `soonest`, (places,), hold the greatest there can be before.
    """
    for event in range(len(places)):
        place, time, arrival = places[event], times[event], arrivals[event]
        if time < least[place] or (time == least[place] and arrival < soonest[place]):
            least[place] = time
            soonest[place] = arrival
            found[place] = event


@compiled("void(r.i8, r.u1, r.u4, i8[:, ::1], i8, u1[::1])")
def follow(times: Any, steps: Any, places: Any, starts: Any, within: int, done: Any) -> None:
    """Set `done`, (places,), to 1 where some events follow the steps 0 … k − 1, the last `within` ms of the first.

    Events, (n,), are in order of time, and of one time those of later steps come first: so an event is only ever
    behind events of lesser time. `starts`, (places, k) int64, −1 before, holds the latest time at which a way to
    a step that has been reached began: the latest is the one that can still be soon enough.
    """
    last = starts.shape[1] - 1
    for event in range(len(times)):
        step, place, time = steps[event], places[event], times[event]
        if step == 0:
            starts[place, 0] = time
        elif starts[place, step - 1] >= 0:
            start = starts[place, step - 1]
            starts[place, step] = start
            if step == last and time - start <= within:
                done[place] = 1
