"""How often is a destination tried, and how long is it waited for? One policy, by tenacity, for all types.

A failure that may pass is tried again with exponential back-off and full jitter, or after the pause that the
destination asked for. Waiting asks in between whether the run is to stop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from services.sync.destinations.base import Exhausted, Passing, go_on

SLICE_SECONDS = 1.0
"""How long a wait goes on before it asks whether the run is to stop."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a destination is borne with. Seconds, but for `attempts`, which counts the first one too."""

    attempts: int = 6
    shortest_wait: float = 1.0
    """The first wait is random up to this, and each wait after that up to twice the one before."""
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0
    """A receiver that asks for a longer pause is not waited for: the next run sends the rest."""
    longest_account_wait: float = 3660.0
    """The same for an ad account, whose limits are those of an hour; they are counted by the minute."""
    timeout: float = 30.0
    upload_timeout: float = 60.0
    """A call with 10,000 customers in it may take longer to be answered."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def wait(self, seconds: float, check_going: Callable[[], Awaitable[None]] = go_on) -> None:
        """Sleep, and let `check_going` raise in between."""
        if check_going is go_on:
            await self.sleep(seconds)
            return
        while seconds > 0:
            await check_going()
            await self.sleep(min(seconds, SLICE_SECONDS))
            seconds -= SLICE_SECONDS


async def persist(
    attempt: Callable[[], Awaitable[T]],
    patience: Patience,
    subject: str,
    *,
    attempts: int | None = None,
    check_going: Callable[[], Awaitable[None]] = go_on,
) -> T:
    """Return what `attempt` returns, tried again as long as it raises `Passing`. Raises `Exhausted` then.

    `subject` is who is called, for the message: "the webhook".
    """
    exponential = wait_random_exponential(multiplier=patience.shortest_wait, max=patience.longest_wait)

    def pause(state: RetryCallState) -> float:
        asked = _failure(state).retry_after
        return float(exponential(state)) if asked is None else asked

    async def sleep(seconds: float) -> None:
        await patience.wait(seconds, check_going)

    def is_worth_it(failure: BaseException) -> bool:
        return isinstance(failure, Passing) and (failure.retry_after or 0) <= patience.longest_retry_after

    made = 0
    retrying = AsyncRetrying(
        retry=retry_if_exception(is_worth_it),
        stop=stop_after_attempt(attempts or patience.attempts),
        wait=pause,
        sleep=sleep,
        reraise=True,
    )
    try:
        async for trial in retrying:
            with trial:
                made += 1
                return await attempt()
    except Passing as failure:
        times = "once" if made == 1 else f"{made} times"
        wish = "" if is_worth_it(failure) else f", and asked to be left alone for {failure.retry_after:.0f} s"
        raise Exhausted(f"{subject} was called {times} and did not do it: {failure}{wish}") from None
    raise AssertionError("tenacity ends by returning or raising")


def _failure(state: RetryCallState) -> Passing:
    assert state.outcome is not None  # tenacity waits only behind an attempt
    failure = state.outcome.exception()
    assert isinstance(failure, Passing)
    return failure
