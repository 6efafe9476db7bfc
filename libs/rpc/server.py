"""How is a service served? Registration, authorisation, decoding, errors, health, reflection and shutdown.

Servicers subclass the generated classes, implement what they serve as coroutines (or async generators) and
raise `libs.errors.Fault`; everything that is the same for every call happens here, once, at registration. An
RPC that a servicer does not override answers UNIMPLEMENTED.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, nullcontext
from traceback import clear_frames
from typing import Any, Protocol, TypeAlias, runtime_checkable

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from libs.errors import Fault, frames
from libs.rpc.access import NOBODY, Caller, Keys, caller, check_size, enter, unauthenticated
from libs.rpc.calls import Call
from libs.rpc.errors import Context, abort
from libs.rpc.handlers import Doors, Memory, handler
from libs.rpc.limits import DEFAULT_LIMITS, Limits, server_options
from libs.rpc.metrics import Calls
from libs.rpc.open import HEALTH, REFLECTION, REFLECTION_SERVICES, Health, reflection_of
from libs.rpc.scopes import scope_of
from libs.rpc.streams import Streams
from libs.rpc.tls import ServerTls

DRAIN_SECONDS = 20.0
"""How long calls under way may go on after SIGTERM."""

log = structlog.get_logger()


async def fail(context: Context, method: MethodDescriptor, error: Exception) -> None:
    """End a call as its error says. An error that is no fault is ours: it is logged and answered INTERNAL.

    What the failed frames hold, such as a request of megabytes, goes at once: errors and their frames hold each
    other, so it would stay until somebody collects garbage.
    """
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, Fault):
        clear_frames(error.__traceback__)
        await abort(context, error)
    log.error("call failed", rpc=method.full_name, error=type(error).__name__, where=frames(error))
    clear_frames(error.__traceback__)
    fault = Fault("INTERNAL", f"{method.name} failed inside the server; its log says how")
    await abort(context, fault, grpc.StatusCode.INTERNAL)


Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Find = Callable[[str], Awaitable[object]]
"""Returns the servicer of a project, by its id."""


def _of_project(method: MethodDescriptor, find: Find) -> Any:
    """Return the coroutine, or async generator, that calls the method of the servicer of the caller's project."""

    async def unary(request: object, context: Context) -> Message:
        servicer = await find(caller().project_id)
        response: Message = await getattr(servicer, method.name)(request, context)
        return response

    async def stream(request: object, context: Context) -> AsyncGenerator[Message]:
        servicer = await find(caller().project_id)
        async with aclosing(getattr(servicer, method.name)(request, context)) as responses:
            async for response in responses:
                yield response

    return stream if method.server_streaming else unary


class Registrar:
    """Turns a servicer into handlers that authorise, serve and report errors, and adds them to a server."""

    def __init__(
        self, server: grpc.aio.Server, keys: Keys, calls: Calls, limits: Limits, call_level: str
    ) -> None:
        self._server = server
        self._keys = keys
        self._calls = calls
        self._limits = limits
        self._memory = Memory(limits.request_mib << 20)
        self._call_level = call_level
        self.streams = Streams(keys)

    async def _authorise(self, context: Context, method: MethodDescriptor, is_open: bool) -> Caller:
        """Return whose call it is, or abort it: before anything is read of what was sent."""
        metadata = context.invocation_metadata() or ()
        try:
            if is_open:
                check_size(metadata)
                return NOBODY
            who = self._keys.identify(metadata)
            who.check(method.full_name)
        except Fault as fault:
            await abort(context, fault)
            raise
        enter(who)
        structlog.contextvars.bind_contextvars(project=who.project_id)
        return who

    def _check_key(self) -> None:
        """Raise `Unauthenticated` where the key of the running call is not valid any more."""
        if not self._keys.still_opens(caller()):
            raise unauthenticated()

    def add(self, service: ServiceDescriptor, kind: type, find: Find) -> None:
        """Serve `service` by the coroutines of a project's servicer, which is of the class `kind`."""
        base = kind.__mro__[-2]  # the generated class: handlers may stand in any class below it
        doors = Doors.of(self._limits, self._memory)
        handlers: dict[str, Handler] = {}
        for method in service.methods:
            scope_of(method.full_name)  # what the table of scopes forgot is not served
            built = getattr(kind, method.name) is not getattr(base, method.name)
            behaviour = _of_project(method, find) if built else None
            handlers[method.name] = self._handler(method, behaviour, doors)
        self._add(service.full_name, handlers)

    def add_open(self, service: ServiceDescriptor, servicer: object, name: str = "") -> None:
        """Serve `service`, by its own name or another, to whoever asks."""
        doors = Doors.apart(self._limits)
        self._add(
            name or service.full_name,
            {
                method.name: self._handler(method, getattr(servicer, method.name), doors, is_open=True)
                for method in service.methods
            },
        )

    def _add(self, name: str, handlers: dict[str, Handler]) -> None:
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))

    def _handler(
        self, method: MethodDescriptor, behaviour: Any, doors: Doors, *, is_open: bool = False
    ) -> Handler:
        serve = handler(method, behaviour, doors, self._check_key)
        streams = method.client_streaming or method.server_streaming

        async def call(requests: object, context: Context) -> None:
            with Call(method.full_name, context, self._call_level):
                who = await self._authorise(context, method, is_open)
                try:
                    with self.streams.under_way(who) if streams else nullcontext():
                        await serve(context)
                except Exception as error:
                    await fail(context, method, error)

        return grpc.stream_stream_rpc_method_handler(self._calls.measure(method, call))


@runtime_checkable
class Endless(Protocol):
    """A servicer with streams that go on until the client or the server stops."""

    def end_streams(self) -> None:
        """End them, and those that are still begun, with `Unavailable`."""


class Server:
    """One listening port with services, health and reflection on it.

    `address` is HOST:PORT; port 0 takes a free one, which `bind` returns. Without keys everybody may call.
    `calls` measures them; they are logged at `call_level`. With `tls` the port is encrypted; `own` is a further
    address, unix:PATH, that is not: for this process to reach itself.
    """

    def __init__(
        self,
        address: str,
        keys: Keys | None = None,
        calls: Calls | None = None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        call_level: str = "debug",
        tls: ServerTls | None = None,
        own: str = "",
    ) -> None:
        self._tls = tls
        self._own = own
        self._address = address
        self._server = grpc.aio.server(options=server_options(limits), maximum_concurrent_rpcs=limits.calls)
        self._registrar = Registrar(
            self._server, keys or Keys(insecure=True), calls or Calls(), limits, call_level
        )
        self._health = Health()
        self._names: list[str] = []
        self._endless: list[Endless] = []
        self._port = 0
        self._watching: asyncio.Task[None] | None = None

    def bind(self) -> int:
        """Take the port ahead of `start`, and return it. Raises OSError where it cannot be had."""
        try:
            if self._tls:
                self._port = self._server.add_secure_port(self._address, self._tls.credentials())
            else:
                self._port = self._server.add_insecure_port(self._address)
            if self._own:
                self._server.add_insecure_port(self._own)
        except RuntimeError as error:
            raise OSError(
                f"cannot listen on {self._address}: the port is taken, or the address is not this machine's"
            ) from error
        return self._port

    def add(self, service: ServiceDescriptor, servicer: object) -> None:
        """Serve `service` by one servicer, whatever the caller's project. Only before `start`."""

        async def always(project_id: str) -> object:
            return servicer

        self.add_projects(service, type(servicer), always, servicer)

    def add_projects(
        self, service: ServiceDescriptor, kind: type, find: Find, endless: object = None
    ) -> None:
        """Serve `service` by the servicer of the caller's project, one of the class `kind`. Only before `start`.

        `endless` ends the streams of all of them, where it is `Endless`.
        """
        self._registrar.add(service, kind, find)
        if isinstance(endless, Endless):
            self._endless.append(endless)
        self._names.append(service.full_name)

    async def start(self) -> int:
        """Answer calls, on the port that was bound or is bound now; return it."""
        port = self._port or self.bind()
        self._registrar.add_open(HEALTH, self._health)
        described = reflection_of(self._names)
        for name in REFLECTION_SERVICES:
            self._registrar.add_open(REFLECTION, described, name)
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


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set, from now on. Call it in a running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
