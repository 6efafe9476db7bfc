"""How does a test of real processes wait? For a condition, never for a time."""

import time
from collections.abc import Callable

DEADLINE = 40.0


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds: what is waited for in another process has no event to wait on."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
