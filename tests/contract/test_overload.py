"""Whose turn is it at a server with one place? Over real connections, with real keys."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc
from libs.rpc.access import Caller, Keys, Metadata
from libs.rpc.client import connect_async
from libs.rpc.limits import Limits
from libs.rpc.server import Server
from libs.storage.directory import Change, Directory, ensure_default
from libs.storage.projects import Project
from services.ingest.keys import made
from tests.contract.harness import COHORT, DEADLINE
from tests.fakes.services import serving


class Counted(Keys):
    """Keys that can be waited for: a call is known, and in the queue by the loop's next step."""

    def __init__(self, directory: Directory) -> None:
        super().__init__(directory)
        self.known = threading.Semaphore(0)

    def identify(self, metadata: Metadata) -> Caller:
        """Say who calls, and that somebody did."""
        self.known.release()
        return super().identify(metadata)


class OneByOne(cohort_pb2_grpc.CohortServiceServicer):
    """Notes who is served, and holds the first until it is let go."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self._go = asyncio.Event()
        self._begun = threading.Event()
        self._loop: asyncio.AbstractEventLoop

    async def GetCohort(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Serve."""
        self._loop = asyncio.get_running_loop()
        self.served.append(request.cohort_id)
        self._begun.set()
        await self._go.wait()
        return cohort_pb2.GetCohortResponse()

    def go(self) -> None:
        """Let all go, once the first is inside."""
        assert self._begun.wait(DEADLINE)
        self._loop.call_soon_threadsafe(self._go.set)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    opened = Directory(tmp_path, writable=True)
    ensure_default(opened, None, 0)
    yield opened
    opened.close()


def secret_in(directory: Directory, project_id: str) -> str:
    kept, secret = made("k", ("read",), project_id=project_id, now=0)

    def change(changes: Change) -> tuple[bytes, bytes]:
        if project_id != "default":
            changes.put_project(Project(project_id, "UTC", 0))
        changes.add_key(kept)
        return b"", b""

    directory.mutate(None, 0, change)
    return secret


def test_a_key_gets_no_more_turns_by_more_connections_nor_a_project_by_more_keys(
    directory: Directory,
) -> None:
    crowd, lonely, other = (secret_in(directory, project) for project in ("default", "default", "other"))
    keys, servicer, calls = Counted(directory), OneByOne(), []
    with ExitStack() as stack:
        target = stack.enter_context(serving([(COHORT, servicer)], keys, limits=Limits(working=1)))

        def connection() -> Any:
            own = (("grpc.use_local_subchannel_pool", 1),)
            channel = stack.enter_context(grpc.insecure_channel(target, options=own))
            return cohort_pb2_grpc.CohortServiceStub(channel)  # type: ignore[no-untyped-call]

        def call(stub: Any, name: str, secret: str) -> None:
            metadata = (("authorization", f"Bearer {secret}"),)
            request = cohort_pb2.GetCohortRequest(cohort_id=name)
            calls.append(stub.GetCohort.future(request, metadata=metadata, timeout=DEADLINE))
            assert keys.known.acquire(timeout=DEADLINE)

        first = connection()
        for name in ("inside", "crowd 1"):
            call(first, name, crowd)
        for name in ("crowd 2", "crowd 3"):
            call(connection(), name, crowd)
        call(connection(), "lonely", lonely)
        call(connection(), "other project", other)
        servicer.go()
        for each in calls:
            each.result(DEADLINE)
    assert servicer.served == ["inside", "crowd 1", "other project", "lonely", "crowd 2", "crowd 3"]


async def test_a_client_with_more_calls_at_once_than_a_connection_may_have_is_made_to_wait_and_never_failed() -> (
    None
):
    server = Server("127.0.0.1:0", limits=Limits(calls_per_connection=10))
    channel = connect_async(f"127.0.0.1:{await server.start()}")
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    for _ in range(5):
        await asyncio.gather(*(check(b"", timeout=DEADLINE) for _ in range(200)))
    await channel.close()
    await server.stop()
