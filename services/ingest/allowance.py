"""May a project send so many events now? Its rate and its room, before anything of a request is read.

The rate is a bucket that fills by the limit each second, up to `BURST_SECONDS` of it. A request comes in where the
bucket holds what it takes, or is full, and may leave a debt: a batch greater than the bucket gets through, and what
comes in over time is still the limit. A restart fills the bucket.
"""

import threading
from collections.abc import Callable

from libs.clock import Clock
from libs.errors import Overloaded
from libs.storage.projects import Quota

BURST_SECONDS = 10
FULL_RETRY_SECONDS = 3600.0
"""When to look again for room: only the operator makes some, since what is erased is overwritten in place."""


class Allowance:
    """What one project may send. For any thread."""

    def __init__(self, quota: Callable[[], Quota], log_bytes: Callable[[], int], clock: Clock) -> None:
        """Take what says the limits of now, and the bytes in use in the log."""
        self._quota = quota
        self._log_bytes = log_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._rate: int | None = None
        self._level = 0.0
        self._filled = clock()

    def take(self, items: int) -> None:
        """Count events and customers that are sent. Raises `Overloaded`; then nothing was counted."""
        quota = self._quota()
        if quota.log_bytes is not None and self._log_bytes() >= quota.log_bytes:
            raise Overloaded(
                "LOG_BYTES_LIMIT",
                f"this project's log takes the {quota.log_bytes} bytes that it may; ask the operator for more",
                FULL_RETRY_SECONDS,
            )
        with self._lock:
            self._fill(quota.events_per_second)
            if self._rate is not None:
                self._spend(items, self._rate)

    def _fill(self, rate: int | None) -> None:
        """Let the bucket fill for the time that has passed; one of another rate begins full."""
        now = self._clock()
        if rate is not None:
            grown = max(0, now - self._filled) / 1000 * rate
            full = float(rate * BURST_SECONDS)
            self._level = full if rate != self._rate else min(full, self._level + grown)
        self._rate, self._filled = rate, now

    def _spend(self, items: int, rate: int) -> None:
        missing = min(items, rate * BURST_SECONDS) - self._level
        if missing > 0:
            raise Overloaded(
                "EVENT_RATE_LIMIT",
                f"this project may send {rate} events a second; send again later",
                missing / rate + 0.001,  # RetryInfo is in whole milliseconds, cut
            )
        self._level -= items
