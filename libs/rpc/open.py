"""What is served to whoever asks, without a key? Health and reflection, with doors of their own.

They say what is served and whether it serves, not what it holds. Nobody who has no key takes a place of one who has:
calls and streams of these wait at doors apart, and what they send is read within a budget apart.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

HEALTH: ServiceDescriptor = health_pb2.DESCRIPTOR.services_by_name["Health"]
REFLECTION: ServiceDescriptor = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
REFLECTION_V1_FILE = "grpc/reflection/v1/reflection.proto"
REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
"""Both names by which the same messages are asked for."""
Reflection: Any = reflection.aio.ReflectionServicer


class Health(health.aio.HealthServicer):  # type: ignore[misc]
    """The health service, its watch as a generator: what is not taken at once is replaced by what came later."""

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: object
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Say how a service is now, and each time that changes."""
        latest = _Latest()
        watching = asyncio.create_task(super().Watch(request, latest))
        try:
            while True:
                yield await latest.next()
        finally:
            watching.cancel()


class _Latest:
    """Takes what the library would write to a client, and never keeps it waiting."""

    def __init__(self) -> None:
        self._came = asyncio.Event()
        self._message: health_pb2.HealthCheckResponse

    async def write(self, message: health_pb2.HealthCheckResponse) -> None:
        """Take a message."""
        self._message = message
        self._came.set()

    async def next(self) -> health_pb2.HealthCheckResponse:
        """Return the last message, when there is a new one."""
        await self._came.wait()
        self._came.clear()
        return self._message


def reflection_of(names: list[str]) -> Any:
    """Return what describes services, reflection itself in both versions included."""
    _describe_v1()
    return Reflection((*names, health.SERVICE_NAME, *REFLECTION_SERVICES), pool=descriptor_pool.Default())


def _describe_v1() -> None:
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
