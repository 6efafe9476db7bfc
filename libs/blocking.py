"""How is something done that may block for long, and hold up nothing else? In a daemon thread of its own.

A pool has few threads, and all wait where a few hang: a name server that does not answer would hold up evaluation.
And they are joined when the interpreter ends, so a call that hangs would keep a server from stopping for as long as
its time-out; these are not. A thread costs some 50 µs, a call over a network a thousand times that.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def call(work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises. Where the caller is cancelled, it goes on unheard."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def answer(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as failure:
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(answer, result, error)

    threading.Thread(target=run, name="blocking-call", daemon=True).start()
    return await future
