"""What time is it? The one place that asks, so that everything else can be told and tests can step time."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the present instant in milliseconds since 1970, UTC."""


def system_clock() -> int:
    """Return the machine's time in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000
