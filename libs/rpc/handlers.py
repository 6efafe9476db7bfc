"""How does one call go? It waits for its turn, is read, worked on and answered: the same for every RPC.

To gRPC every handler is one of streams of bytes, so that a message is read only once the caller is known and has
its turn, and a client that does not take its answer can be given up.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from libs.errors import Invalid, NotBuilt
from libs.rpc import MAX_MESSAGE_BYTES
from libs.rpc.access import caller
from libs.rpc.budget import Budget
from libs.rpc.door import Door, Names
from libs.rpc.errors import Context
from libs.rpc.limits import Limits
from libs.rpc.scopes import BY_PAGES, OUTBOUND
from libs.rpc.weight import SMALL_BYTES, Scale, malformed

Serve = Callable[[Context], Awaitable[None]]
"""Serves one call. Raises what it fails by."""
StillOpen = Callable[[], None]
"""Raises `Unauthenticated` where the key of the running call has been revoked since it was let in."""
Decode = Callable[[bytes], Message]
OPEN_STREAMS_IN = 4
"""Streams of a service that asks for no key: each may bring one message of 64 MiB before it is asked."""
OPEN_BYTES = 2 * MAX_MESSAGE_BYTES
"""What requests of such a service take: two are read at a time."""


class Memory:
    """What requests may take, in bytes: as they come, and once decoded. All services of a server share one."""

    def __init__(self, most: int) -> None:
        self.coming = Budget(most)
        self.decoded = Budget(most)


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the calls of one service wait for their turn, and the memory they share with those of others."""

    calls: Door
    streams: Door
    streams_in: Door
    outbound: Door
    """For calls that wait for machines elsewhere."""
    memory: Memory

    @classmethod
    def of(cls, limits: Limits, memory: Memory) -> "Doors":
        """Make the doors of a service."""
        return cls(
            _door(limits, limits.working, limits.waiting, "calls"),
            _door(limits, limits.streams, 0, "streams"),
            _door(limits, limits.streams_in, 0, "streams of events"),
            _door(limits, limits.working, limits.waiting, "calls"),
            memory,
        )

    @classmethod
    def apart(cls, limits: Limits) -> "Doors":
        """Make the doors of a service that asks for no key, whose idle streams make way for those who wait."""
        calls = _door(limits, limits.working, limits.waiting, "calls")
        return cls(
            calls,
            _door(limits, limits.streams, 0, "streams"),
            _door(limits, OPEN_STREAMS_IN, limits.waiting, "streams"),
            calls,
            Memory(OPEN_BYTES),
        )


def _door(limits: Limits, places: int, waiting: int, what: str) -> Door:
    patience, stalled = limits.patience_ms / 1000, limits.stalled_ms / 1000
    return Door(places, waiting, patience=patience, stalled=stalled, what=what)


def handler(method: MethodDescriptor, behaviour: Any, doors: Doors, still_open: StillOpen) -> Serve:
    """Serve a method by a servicer's coroutine or async generator; None where it has none."""
    if behaviour is None:
        return _not_built(method)
    kind = GetMessageClass(method.input_type)
    decode = Requests(decoder(kind), Scale.of(method.input_type), doors.memory, still_open)
    if method.client_streaming:
        return _streams_in(behaviour, decode, doors)
    if method.server_streaming:
        return _stream(behaviour, decode, doors, by_pages=method.full_name in BY_PAGES)
    return _unary(behaviour, decode, doors.outbound if method.full_name in OUTBOUND else doors.calls)


def decoder(message_class: Any) -> Decode:
    """Return how a request is decoded. It raises `Invalid` for bytes that are none."""
    name = message_class.DESCRIPTOR.full_name

    def decode(data: bytes) -> Message:
        try:
            message: Message = message_class.FromString(data)
        except (DecodeError, RecursionError):
            raise malformed(name) from None
        return message

    return decode


class Requests:
    """How the requests of one RPC come into memory. A call may wait minutes for that: its key is looked at again."""

    def __init__(self, decode: Decode, scale: Scale, memory: Memory, still_open: StillOpen) -> None:
        self._decode, self._scale, self._still_open = decode, scale, still_open
        self._coming, self._decoded = memory.coming, memory.decoded

    @asynccontextmanager
    async def one(self, context: Context, door: Door, who: Names) -> AsyncIterator[tuple[Message, int]]:
        """Read the one request of a call; yields it, and the bytes of `Memory.decoded` it has until the end."""
        taken = await self._coming.take(who, MAX_MESSAGE_BYTES, door.patience)
        try:
            short = self._coming.is_short
            data = await door.patiently(context.read(), also=self._coming.pace, short=short)
            if data is grpc.aio.EOF:
                raise Invalid("MALFORMED_MESSAGE", "the call has no request")
            if (surplus := taken - len(data)) > 0:
                taken = len(data)
                self._coming.give(surplus)
            size = await self._room(data, door, who)
            try:
                request = self._decode(data)
            except BaseException:
                self._decoded.give(size)
                raise
            del data
        finally:
            self._coming.give(taken)
        try:
            self._still_open()
            yield request, size
        finally:
            self._decoded.give(size)

    @asynccontextmanager
    async def next(self, data: bytes, door: Door, who: Names) -> AsyncIterator[Message]:
        """Decode a request of a stream, which has been read as it came, room or not."""
        taken = self._coming.overdraw(len(data))
        try:
            size = await self._room(data, door, who)
            try:
                request = self._decode(data)
            except BaseException:
                self._decoded.give(size)
                raise
            del data
        finally:
            self._coming.give(taken)
        try:
            self._still_open()
            yield request
        finally:
            del request
            self._decoded.give(size)

    async def _room(self, data: bytes, door: Door, who: Names) -> int:
        """Wait for the room that a request takes when it is decoded; return how much that is."""
        if len(data) <= SMALL_BYTES:
            size = len(data) * self._scale.worst
        else:
            size = await asyncio.to_thread(self._scale.weigh, data)
        return await self._decoded.take(who, size, door.patience)


def _unary(behaviour: Callable[..., Awaitable[Message]], requests: Requests, door: Door) -> Serve:
    async def serve(context: Context) -> None:
        who = _who(context)
        async with door.turn(who):
            async with requests.one(context, door, who) as (request, _):
                response = await behaviour(request, context)
                del request
            await door.patiently(context.write(response.SerializeToString()))

    return serve


def _stream(
    behaviour: Callable[..., AsyncGenerator[Message]], requests: Requests, doors: Doors, *, by_pages: bool
) -> Serve:
    """Serve a stream of responses; `by_pages`, each is worked on in its turn among the other calls."""
    door, decoded = doors.streams, doors.memory.decoded

    async def serve(context: Context) -> None:
        who = _who(context)
        async with door.turn(who), requests.one(context, door, who) as (request, size):
            decoded.hold(size)
            try:
                async with aclosing(behaviour(request, context)) as responses:
                    while True:
                        async with doors.calls.turn(who) if by_pages else nullcontext():
                            response = await anext(responses, None)
                        if response is None:
                            break
                        await door.patiently(context.write(response.SerializeToString()))
            finally:
                decoded.let_go(size)

    return serve


def _streams_in(behaviour: Callable[..., AsyncGenerator[Message]], requests: Requests, doors: Doors) -> Serve:
    """Serve a stream of requests; each is worked on in its turn among the other calls."""
    door = doors.streams_in

    async def serve(context: Context) -> None:
        who = _who(context)
        async with door.turn(who), AsyncExitStack() as turn:

            async def coming() -> AsyncIterator[Message]:
                while (data := await door.patiently(context.read(), idle=True)) is not grpc.aio.EOF:
                    await turn.enter_async_context(doors.calls.turn(who))
                    request = await turn.enter_async_context(requests.next(data, door, who))
                    del data  # nothing of a message is kept while the next is waited for
                    yield request
                    del request

            async with aclosing(behaviour(coming(), context)) as responses:
                async for response in responses:
                    await turn.aclose()
                    await door.patiently(context.write(response.SerializeToString()))

    return serve


def _not_built(method: MethodDescriptor) -> Serve:
    async def serve(context: Context) -> None:
        raise NotBuilt("NOT_BUILT_YET", f"this version of Cohort does not serve {method.name} yet")

    return serve


def _who(context: Context) -> Names:
    """Return by what calls take turns. Those of an operator's secret, or of no key, share the key of no name."""
    who = caller()
    return (who.project_id, who.key_id, context.peer())
