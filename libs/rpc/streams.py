"""What ends a stream whose key is revoked? A look at the keys a few times a second, at those under way.

Unary calls under way are let go on: they end by themselves. Neighbour: `server`, which enters every stream.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from libs.rpc.access import Caller, Keys, unauthenticated

LOOK_SECONDS = 0.25
"""How often keys are looked at: a revocation ends streams within a second, with room to spare."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Stream:
    """A stream under way, and whether its key has been revoked meanwhile."""

    caller: Caller
    task: "asyncio.Task[object]"
    revoked: bool = False


class Streams:
    """The streams of one server. For its event loop."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._under_way: set[Stream] = set()

    @contextmanager
    def under_way(self, caller: Caller) -> Iterator[None]:
        """Watch over the running task; raises `Unauthenticated` in it once its key is revoked."""
        task = asyncio.current_task()
        if task is None or not caller.secret_digest:
            yield
            return
        stream = Stream(caller, task)
        self._under_way.add(stream)
        try:
            yield
        except asyncio.CancelledError:
            if not stream.revoked:
                raise
            task.uncancel()
            raise unauthenticated() from None
        finally:
            self._under_way.discard(stream)

    async def watch(self) -> None:
        """End streams whose keys have been revoked, until cancelled."""
        version = -1
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                found = self._keys.version()
            except Exception as error:  # a look that fails must not be the last
                log.error("keys cannot be read", error=type(error).__name__)
                continue
            if found != version:
                version = found
                self._end_revoked()

    def _end_revoked(self) -> None:
        for stream in self._under_way:
            if not stream.revoked and not self._keys.still_opens(stream.caller):
                stream.revoked = True
                stream.task.cancel()
