"""Which events complete a sequence?"""

import numpy as np
import pytest

from services.cohort.explain import chain
from services.cohort.rule import Span, Unit

MINUTE = 60_000


def step(*minutes: int) -> tuple[np.ndarray, np.ndarray]:
    """Events at some minutes, ascending; the log row of each is its minute."""
    newest = np.array(minutes[::-1], np.int64)
    return newest * MINUTE, newest


@pytest.mark.parametrize(
    ("steps", "within", "rows"),
    [
        ([step(1, 5), step(2, 9)], None, (9, 5)),
        ([step(1, 5), step(2, 9)], 4, (9, 5)),
        ([step(1, 5), step(2, 9)], 3, (2, 1)),  # the newest first step takes too long
        ([step(1), step(1)], None, ()),  # times must rise
        ([step(1, 2, 3), step(2), step(3)], None, (3, 2, 1)),
        ([step(1, 4), step(2), step(3)], 2, (3, 2, 1)),
        ([step(1), step(2), step(9)], 7, ()),
        ([step(1), step(2, 3), step()], None, ()),
    ],
)
def test_a_sequence_is_completed_by_its_newest_events(
    steps: list[tuple[np.ndarray, np.ndarray]], within: int | None, rows: tuple[int, ...]
) -> None:
    assert chain(steps, None if within is None else Span(within, Unit.MINUTE)) == rows
