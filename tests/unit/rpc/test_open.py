"""Health and reflection: whoever asks is answered, and nobody who only holds on to them keeps others out."""

from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from libs.rpc.client import connect_async
from libs.rpc.errors import Failure
from libs.rpc.handlers import OPEN_STREAMS_IN
from libs.rpc.limits import Limits
from libs.rpc.open import REFLECTION_SERVICES
from libs.rpc.server import Server

WATCH, CHECK = "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/Check"
DEADLINE = 10
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, grpc.aio.Channel]]:
    server = Server("127.0.0.1:0", limits=Limits(patience_ms=50, streams=3))
    channel = connect_async(f"127.0.0.1:{await server.start()}")
    yield server, channel
    await channel.close()
    await server.stop()


def status(data: bytes) -> int:
    return int(health_pb2.HealthCheckResponse.FromString(data).status)


async def test_a_watch_says_how_it_is_and_each_change(served: tuple[Server, grpc.aio.Channel]) -> None:
    server, channel = served
    watch = channel.unary_stream(WATCH)(b"", timeout=DEADLINE)
    assert status(await watch.read()) == SERVING
    await server.set_health({"": False})
    assert status(await watch.read()) == NOT_SERVING
    watch.cancel()
    assert status(await channel.unary_unary(CHECK)(b"", timeout=DEADLINE)) == NOT_SERVING


async def test_a_watch_too_many_is_refused_and_checks_are_answered(
    served: tuple[Server, grpc.aio.Channel],
) -> None:
    _, channel = served
    watches = [channel.unary_stream(WATCH)(b"", timeout=DEADLINE) for _ in range(3)]
    for watch in watches:
        assert status(await watch.read()) == SERVING
    with pytest.raises(grpc.RpcError) as refused:
        await channel.unary_stream(WATCH)(b"", timeout=DEADLINE).read()
    failure = Failure.of(refused.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    assert failure.retry_after
    assert status(await channel.unary_unary(CHECK)(b"", timeout=DEADLINE)) == SERVING


async def test_conversations_that_say_nothing_make_way_for_one_that_asks(
    served: tuple[Server, grpc.aio.Channel],
) -> None:
    _, channel = served
    for name in REFLECTION_SERVICES:
        ask = channel.stream_stream(f"/{name}/ServerReflectionInfo")
        silent = [ask(timeout=DEADLINE) for _ in range(2 * OPEN_STREAMS_IN)]
        call = ask(timeout=DEADLINE)
        await call.write(reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString())
        answer = reflection_pb2.ServerReflectionResponse.FromString(await call.read())
        assert {each.name for each in answer.list_services_response.service} >= set(REFLECTION_SERVICES)
        for each in [*silent, call]:
            each.cancel()


@pytest.mark.parametrize(
    "method", [CHECK, WATCH, *(f"/{n}/ServerReflectionInfo" for n in REFLECTION_SERVICES)]
)
async def test_bytes_that_are_no_message_are_the_clients_fault(
    served: tuple[Server, grpc.aio.Channel], method: str
) -> None:
    _, channel = served
    call = channel.stream_stream(method)(timeout=DEADLINE)
    await call.write(b"\xff\xff")
    with pytest.raises(grpc.RpcError) as refused:
        await call.read()
    failure = Failure.of(refused.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
