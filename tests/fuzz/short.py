"""Do all targets of hostile input still hold? `python -m tests.fuzz.short`: a few hundred inputs each, in seconds.

Seeds, and what becomes of them by random edits, the same every time; no coverage guides it. `make fuzz-input` is the
long form.
"""

import random

from libs.cli.errors import Failed
from libs.errors import Fault
from tests.fuzz.targets import MODULES, make

INPUTS = 300
MOST_EDITS = 6


def edited(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with a few edits: bytes changed, put in, taken out, a piece repeated."""
    found = bytearray(data)
    for _ in range(chance.randrange(1, MOST_EDITS)):
        place, size = chance.randrange(len(found) + 1), chance.randrange(1, 9)
        match chance.randrange(4):
            case 0:
                found[place : place + 1] = chance.randbytes(1)
            case 1:
                found[place:place] = chance.randbytes(size)
            case 2:
                del found[place : place + size]
            case _:
                found[place:place] = found[max(place - size, 0) : place]
    return bytes(found)


def main() -> None:
    """Run all targets."""
    for name in MODULES:
        target, chance, refused = make(name), random.Random(name), 0
        inputs = [*target.seeds, *(edited(chance.choice(target.seeds), chance) for _ in range(INPUTS))]
        for data in inputs:
            try:
                target.run(data)
            except (Fault, Failed):
                refused += 1
            except BaseException:
                print(f"{name} fails for {data!r}", flush=True)
                raise
        print(f"{name}: {len(inputs)} inputs, {refused} refused", flush=True)


if __name__ == "__main__":
    main()
