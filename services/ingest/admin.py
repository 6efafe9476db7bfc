"""How is the server? AdminService, of which GetStatus is built: what it holds, by part, and how far it is."""

from importlib.metadata import version

from libs.engine import Engine
from libs.gen.cohort.v1 import admin_pb2, admin_pb2_grpc
from libs.rpc.errors import Context


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """AdminService of one engine. What is not built says so."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def GetStatus(
        self, request: admin_pb2.GetStatusRequest, context: Context
    ) -> admin_pb2.GetStatusResponse:
        """Say what each part takes, and how far the index is behind the log."""
        status = self._engine.status()
        response = admin_pb2.GetStatusResponse(
            revision=self._engine.revision_token(status.revision), version=version("cohort")
        )
        response.lag.FromMilliseconds(status.lag)
        for part in status.parts:
            response.parts.add(
                part=part.name, disk_bytes=part.disk_bytes or 0, memory_bytes=part.memory_bytes or 0
            )
        return response
