"""Which services can be faked? Every one of the contract, over real gRPC.

A fake records each request and answers as told: with a message, with what a function makes of the request, by
raising an exception, or with a list of those, one a call, the last for good. The answer to a call that is
answered by a stream is made by a function: the messages, and an exception where the stream fails.
"""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from libs.errors import Fault
from libs.gen.cohort.v1 import (
    cohort_pb2,
    cohort_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    sync_pb2,
    sync_pb2_grpc,
)
from libs.rpc.access import Keys
from libs.rpc.limits import DEFAULT_LIMITS, Limits
from libs.rpc.metrics import Calls
from libs.rpc.server import Server

SERVICES = (
    (ingest_pb2.DESCRIPTOR.services_by_name["IngestService"], ingest_pb2_grpc.IngestServiceServicer),
    (cohort_pb2.DESCRIPTOR.services_by_name["CohortService"], cohort_pb2_grpc.CohortServiceServicer),
    (sync_pb2.DESCRIPTOR.services_by_name["SyncService"], sync_pb2_grpc.SyncServiceServicer),
)


@dataclass
class Fakes:
    """All services on one port: `answers` by method name, and the `requests` that came in."""

    target: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    requests: dict[str, list[Any]] = field(default_factory=dict)

    def asked(self, method: str) -> list[Any]:
        """The requests of one method, in order."""
        return self.requests.get(method, [])

    def last(self, method: str) -> Any:
        """The latest request of one method."""
        return self.asked(method)[-1]

    def answer(self, method: str, request: Any) -> Any:
        self.requests.setdefault(method, []).append(request)
        if method not in self.answers:
            raise Fault("NOT_FAKED", f"no answer is set for {method}")
        answer = self.answers[method]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


def _servicer(service: ServiceDescriptor, base: type, fakes: Fakes) -> Any:
    def method(name: str) -> Any:
        async def call(self: Any, request: Any, context: Any) -> Any:
            return fakes.answer(name, request)

        return call

    def stream(name: str) -> Any:
        async def call(self: Any, request: Any, context: Any) -> Any:
            for message in fakes.answer(name, request):
                if isinstance(message, Exception):
                    raise message
                yield message

        return call

    unary = [one.name for one in service.methods if not one.server_streaming]
    streams = [one.name for one in service.methods if one.server_streaming and not one.client_streaming]
    calls = {name: method(name) for name in unary} | {name: stream(name) for name in streams}
    return type(f"Fake{service.name}", (base,), calls)()


@contextmanager
def serving(
    services: Iterable[tuple[ServiceDescriptor, object]],
    keys: Keys | None = None,
    calls: Calls | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[str]:
    """Serve services on a free port, from a thread with a loop of its own; yields HOST:PORT."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

    async def start() -> tuple[Server, int]:
        server = Server("127.0.0.1:0", keys, calls, limits=limits)
        for service, servicer in services:
            server.add(service, servicer)
        port = await server.start()
        await server.set_serving(True)
        return server, port

    try:
        server, port = run(start())
        yield f"127.0.0.1:{port}"
        run(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@contextmanager
def running_fakes(api_key: str | None = None) -> Iterator[Fakes]:
    """Serve all fakes on a free port."""
    fakes = Fakes()
    services = [(service, _servicer(service, base, fakes)) for service, base in SERVICES]
    with serving(services, Keys(operator_secret=api_key) if api_key else None) as fakes.target:
        yield fakes
