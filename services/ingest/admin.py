"""How is the server? AdminService, of which GetStatus is built: what it holds, by part, and how far it is."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from libs.engine import Engine
from libs.events.intake import Intake
from libs.gen.cohort.v1 import admin_pb2, admin_pb2_grpc
from libs.rpc.errors import Context
from libs.rpc.metrics import CallSummary
from libs.version import program_version


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """AdminService of one engine. What is not built says so."""

    def __init__(
        self,
        engine: Engine,
        calls: Callable[[], Sequence[CallSummary]] = tuple,
        services: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Take the engine, what tells of calls, and why services do not serve ("" for those that do)."""
        self._engine = engine
        self._calls = calls
        self._services = services

    async def GetStatus(
        self, request: admin_pb2.GetStatusRequest, context: Context
    ) -> admin_pb2.GetStatusResponse:
        """Say what each part takes, and how far the index is behind the log."""
        status = self._engine.status()
        response = admin_pb2.GetStatusResponse(
            revision=self._engine.revision_token(status.revision), version=program_version()
        )
        response.lag.FromMilliseconds(status.lag)
        for part in status.parts:
            response.parts.add(
                part=part.name, disk_bytes=part.disk_bytes or 0, memory_bytes=part.memory_bytes or 0
            )
        if status.intake:
            response.intake.CopyFrom(_intake(status.intake, status.waiting or 0))
        response.calls.extend(map(_call, self._calls()))
        for service, reason in sorted(self._services().items()):
            response.services.add(service=service, serving=not reason, reason=reason)
        return response


def _intake(taken: Intake, waiting: int) -> admin_pb2.Intake:
    return admin_pb2.Intake(waiting=waiting, **dataclasses.asdict(taken))


def _call(summary: CallSummary) -> admin_pb2.CallStatus:
    sent = admin_pb2.CallStatus(
        service=summary.service, method=summary.method, calls=summary.calls, failed=summary.failed
    )
    if summary.median is not None:
        sent.median.FromNanoseconds(round(summary.median * 1e9))
    if summary.p99 is not None:
        sent.p99.FromNanoseconds(round(summary.p99 * 1e9))
    return sent
