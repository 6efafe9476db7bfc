"""How is a service served? Registration, authorisation, decoding, errors, health, reflection and shutdown.

Servicers subclass the generated classes, implement what they serve as coroutines (or async generators) and
raise `libs.errors.Fault`; everything that is the same for every call happens here, once, at registration. An
RPC that a servicer does not override answers UNIMPLEMENTED.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import grpc
import structlog
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from libs.errors import Fault, Invalid, NotBuilt, frames
from libs.rpc import MESSAGE_OPTIONS
from libs.rpc.access import Caller, Keys, enter
from libs.rpc.errors import Context, abort
from libs.rpc.metrics import Calls
from libs.rpc.scopes import scope_of
from libs.rpc.streams import Streams

DRAIN_SECONDS = 20.0
"""How long calls under way may go on after SIGTERM."""
REFLECTION_V1_FILE = "grpc/reflection/v1/reflection.proto"
REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Malformed:
    """Stands for a request that protobuf could not decode."""

    message_type: str


def decoder(message_class: Any) -> Callable[[bytes], Message | Malformed]:
    """Return a deserializer that never raises: grpcio would answer INTERNAL."""

    def decode(data: bytes) -> Message | Malformed:
        try:
            message: Message = message_class.FromString(data)
        except (DecodeError, RecursionError):
            return Malformed(message_class.DESCRIPTOR.full_name)
        return message

    return decode


def malformed(request: Malformed) -> Invalid:
    """Say that a request is not the message it should be."""
    return Invalid(
        "MALFORMED_MESSAGE",
        f"the request is not a valid {request.message_type}: bad UTF-8, nested too deep, or not protobuf",
    )


async def fail(context: Context, method: MethodDescriptor, error: Exception) -> None:
    """End a call as its error says. An error that is no fault is ours: it is logged and answered INTERNAL."""
    if isinstance(error, Fault):
        await abort(context, error)
    log.error("call failed", rpc=method.full_name, error=type(error).__name__, where=frames(error))
    fault = Fault("INTERNAL", f"{method.name} failed inside the server; its log says how")
    await abort(context, fault, grpc.StatusCode.INTERNAL)


class Registrar:
    """Turns a servicer into handlers that authorise, decode and report errors, and adds them to a server."""

    def __init__(self, server: grpc.aio.Server, keys: Keys, calls: Calls) -> None:
        self._server = server
        self._keys = keys
        self._calls = calls
        self.streams = Streams(keys)

    async def _authorise(self, context: Context, method: MethodDescriptor) -> Caller:
        """Return whose call it is, or abort it: before anything is read of what was sent."""
        try:
            who = self._keys.identify(context.invocation_metadata() or ())
            who.check(method.full_name)
        except Fault as fault:
            await abort(context, fault)
            raise
        enter(who)
        return who

    def add(self, service: ServiceDescriptor, servicer: object) -> None:
        """Serve every method of `service` by `servicer`'s coroutine of the same name."""
        base = type(servicer).__mro__[-2]  # the generated class: handlers may stand in any class below it
        handlers = {}
        for method in service.methods:
            built = getattr(type(servicer), method.name) is not getattr(base, method.name)
            behaviour = getattr(servicer, method.name) if built else None
            handlers[method.name] = self._handler(method, behaviour)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service.full_name, handlers),)
        )

    def _handler(self, method: MethodDescriptor, behaviour: Any) -> "grpc.RpcMethodHandler[Any, Any]":
        scope_of(method.full_name)  # what the table of scopes forgot is not served
        streams = (method.client_streaming, method.server_streaming)
        make: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[streams]
        if behaviour is None:
            call: Any = self._not_built(method)
        elif method.server_streaming:
            call = self._stream(method, behaviour)
        else:
            call = self._unary(method, behaviour)
        call, decode = self._calls.measure(method, call, decoder(GetMessageClass(method.input_type)))
        handler: grpc.RpcMethodHandler[Any, Any] = make(call, decode, _encode)
        return handler

    def _unary(self, method: MethodDescriptor, behaviour: Callable[..., Awaitable[Message]]) -> Any:
        async def call(request: Message | Malformed, context: Context) -> Message | None:
            await self._authorise(context, method)
            if isinstance(request, Malformed):
                await abort(context, malformed(request))
            try:
                return await behaviour(request, context)
            except Exception as error:
                await fail(context, method, error)
                return None

        return call

    def _stream(self, method: MethodDescriptor, behaviour: Callable[..., AsyncIterator[Message]]) -> Any:
        async def call(request: Any, context: Context) -> AsyncIterator[Message]:
            who = await self._authorise(context, method)
            if isinstance(request, Malformed):
                await abort(context, malformed(request))
            try:
                with self.streams.under_way(who):
                    incoming = _well_formed(request) if method.client_streaming else request
                    async for response in behaviour(incoming, context):
                        yield response
            except Exception as error:
                await fail(context, method, error)

        return call

    def _not_built(self, method: MethodDescriptor) -> Any:
        fault = NotBuilt("NOT_BUILT_YET", f"this version of Cohort does not serve {method.name} yet")

        async def unary(request: object, context: Context) -> None:
            await self._authorise(context, method)
            await abort(context, fault)

        async def stream(request: object, context: Context) -> AsyncIterator[Message]:
            await unary(request, context)
            return
            yield  # makes this an async generator, as grpc wants of a streaming handler

        return stream if method.server_streaming else unary


async def _well_formed(requests: AsyncIterator[Message | Malformed]) -> AsyncIterator[Message]:
    async for request in requests:
        if isinstance(request, Malformed):
            raise malformed(request)
        yield request


def _encode(message: Message) -> bytes:
    return message.SerializeToString()


@runtime_checkable
class Endless(Protocol):
    """A servicer with streams that go on until the client or the server stops."""

    def end_streams(self) -> None:
        """End them, and those that are still begun, with `Unavailable`."""


class Server:
    """One listening port with services, health and reflection on it.

    `address` is HOST:PORT; port 0 takes a free one, which `bind` returns. Without keys everybody may call.
    `calls` measures them.
    """

    def __init__(self, address: str, keys: Keys | None = None, calls: Calls | None = None) -> None:
        self._address = address
        self._server = grpc.aio.server(
            options=[
                *MESSAGE_OPTIONS,
                ("grpc.so_reuseport", 0),  # a second server on a port must fail, not take half of the calls
            ]
        )
        self._registrar = Registrar(self._server, keys or Keys(insecure=True), calls or Calls())
        self._health = health.aio.HealthServicer()
        self._names: list[str] = []
        self._endless: list[Endless] = []
        self._port = 0
        self._watching: asyncio.Task[None] | None = None

    def bind(self) -> int:
        """Take the port ahead of `start`, and return it. Raises OSError where it cannot be had."""
        try:
            self._port = self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise OSError(
                f"cannot listen on {self._address}: the port is taken, or the address is not this machine's"
            ) from error
        return self._port

    def add(self, service: ServiceDescriptor, servicer: object) -> None:
        """Serve `service`. Only before `start`."""
        self._registrar.add(service, servicer)
        if isinstance(servicer, Endless):
            self._endless.append(servicer)
        self._names.append(service.full_name)

    async def start(self) -> int:
        """Answer calls, on the port that was bound or is bound now; return it."""
        port = self._port or self.bind()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._add_reflection()
        await self._server.start()
        self._watching = asyncio.create_task(self._registrar.streams.watch())
        return port

    async def set_serving(self, serving: bool) -> None:
        """Report every service, and the server as a whole, as SERVING or NOT_SERVING."""
        await self.set_health(dict.fromkeys(self._names, serving))

    async def set_health(self, serving: Mapping[str, bool]) -> None:
        """Report services by full name as SERVING or NOT_SERVING; one that is not named serves.

        The server as a whole serves while all of them do.
        """
        state = health_pb2.HealthCheckResponse
        whole = {"": all(serving.values())}
        for name in ("", *self._names):
            serves = (whole | dict(serving)).get(name, True)
            await self._health.set(name, state.SERVING if serves else state.NOT_SERVING)

    async def stop(self) -> None:
        """Take no new calls, let those under way end, end those that have no end, and close the port."""
        await self._health.enter_graceful_shutdown()
        for servicer in self._endless:
            servicer.end_streams()
        await self._server.stop(DRAIN_SECONDS)
        if self._watching:
            self._watching.cancel()

    def _add_reflection(self) -> None:
        """Serve v1 and v1alpha of reflection: the same messages under two names."""
        _describe_reflection_v1()
        names = (*self._names, health.SERVICE_NAME, *REFLECTION_SERVICES)
        servicer = reflection.aio.ReflectionServicer(names, pool=descriptor_pool.Default())
        handler = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            reflection_pb2.ServerReflectionRequest.FromString,
            _encode,
        )
        for name in REFLECTION_SERVICES:
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),)
            )


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set, from now on. Call it in a running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _describe_reflection_v1() -> None:
    """Add the descriptors of v1 to the pool: grpcio-reflection ships those of v1alpha alone."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName(REFLECTION_V1_FILE)
    except KeyError:
        alpha = descriptor_pb2.FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
        alpha.ClearField("name")
        text = text_format.MessageToString(alpha).replace("reflection.v1alpha", "reflection.v1")
        pool.Add(text_format.Parse(text, descriptor_pb2.FileDescriptorProto(name=REFLECTION_V1_FILE)))
