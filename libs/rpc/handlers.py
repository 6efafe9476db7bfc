"""How does one call go? It waits for its turn, is read, worked on and answered: the same for every RPC.

To gRPC every handler is one of streams of bytes, so that a message is read only once the caller is known and has
its turn, and a client that does not take its answer can be given up.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from libs.errors import Invalid, NotBuilt
from libs.rpc.access import caller
from libs.rpc.door import Door, Names
from libs.rpc.errors import Context
from libs.rpc.limits import Limits

Serve = Callable[[Context], Awaitable[None]]
"""Serves one call. Raises what it fails by."""
Decode = Callable[[bytes], Message]


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the calls of one service wait for their turn."""

    calls: Door
    streams: Door
    streams_in: Door

    @classmethod
    def of(cls, limits: Limits) -> "Doors":
        """Make the doors of a service."""

        def door(places: int, waiting: int, what: str) -> Door:
            patience, stalled = limits.patience_ms / 1000, limits.stalled_ms / 1000
            return Door(places, waiting, patience=patience, stalled=stalled, what=what)

        return cls(
            door(limits.working, limits.waiting, "calls"),
            door(limits.streams, 0, "streams"),
            door(limits.streams_in, 0, "streams of events"),
        )


def handler(method: MethodDescriptor, behaviour: Any, doors: Doors) -> Serve:
    """Serve a method by a servicer's coroutine or async generator; None where it has none."""
    if behaviour is None:
        return _not_built(method)
    decode = decoder(GetMessageClass(method.input_type))
    if method.client_streaming:
        return _streams_in(behaviour, decode, doors)
    if method.server_streaming:
        return _stream(behaviour, decode, doors)
    return _unary(behaviour, decode, doors)


def decoder(message_class: Any) -> Decode:
    """Return how a request is decoded. It raises `Invalid` for bytes that are none."""
    name = message_class.DESCRIPTOR.full_name

    def decode(data: bytes) -> Message:
        try:
            message: Message = message_class.FromString(data)
        except (DecodeError, RecursionError):
            raise Invalid(
                "MALFORMED_MESSAGE",
                f"the request is not a valid {name}: bad UTF-8, nested too deep, or not protobuf",
            ) from None
        return message

    return decode


def _unary(behaviour: Callable[..., Awaitable[Message]], decode: Decode, doors: Doors) -> Serve:
    door = doors.calls

    async def serve(context: Context) -> None:
        async with door.turn(_who(context)):
            request = await _receive(context, door, decode)
            response = await behaviour(request, context)
            await door.patiently(context.write(response.SerializeToString()))

    return serve


def _stream(behaviour: Callable[..., AsyncGenerator[Message]], decode: Decode, doors: Doors) -> Serve:
    door = doors.streams

    async def serve(context: Context) -> None:
        async with door.turn(_who(context)):
            request = await _receive(context, door, decode)
            async with aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    await door.patiently(context.write(response.SerializeToString()))

    return serve


def _streams_in(behaviour: Callable[..., AsyncGenerator[Message]], decode: Decode, doors: Doors) -> Serve:
    """Serve a stream of requests; each is worked on in its turn among the other calls."""
    door = doors.streams_in

    async def serve(context: Context) -> None:
        async with door.turn(_who(context)), AsyncExitStack() as turn:

            async def requests() -> AsyncIterator[Message]:
                while (data := await door.patiently(context.read(), idle=True)) is not grpc.aio.EOF:
                    await turn.enter_async_context(doors.calls.turn(_who(context)))
                    yield decode(data)

            async with aclosing(behaviour(requests(), context)) as responses:
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


async def _receive(context: Context, door: Door, decode: Decode) -> Message:
    """Read the one request of a call."""
    data = await door.patiently(context.read())
    if data is grpc.aio.EOF:
        raise Invalid("MALFORMED_MESSAGE", "the call has no request")
    return decode(data)
