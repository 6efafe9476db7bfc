"""Which servers does a command speak to, and as whom? Stubs, made when they are first asked for."""

import sys
from dataclasses import dataclass, field
from typing import Any

import grpc
import typer
from grpc_health.v1 import health_pb2_grpc

from libs.gen.cohort.v1 import admin_pb2_grpc, cohort_pb2_grpc, ingest_pb2_grpc, sync_pb2_grpc
from libs.rpc.client import connect
from libs.rpc.tls import ClientTls

DEFAULT_TARGET = "127.0.0.1:50051"
"""Where `cohort serve` listens unless told otherwise."""


@dataclass(slots=True)
class Session:
    """The addresses and the key of one command. A service without an address of its own is at `target`."""

    target: str = DEFAULT_TARGET
    ingest_target: str | None = None
    cohort_target: str | None = None
    sync_target: str | None = None
    api_key: str | None = None
    tls: ClientTls | None = None
    channels: dict[str, grpc.Channel] = field(default_factory=dict)

    def ingest(self) -> Any:
        """Return the stub of IngestService."""
        return ingest_pb2_grpc.IngestServiceStub(self._channel(self.ingest_target))  # type: ignore[no-untyped-call]

    def admin(self) -> Any:
        """Return the stub of AdminService, which the ingest service serves."""
        return admin_pb2_grpc.AdminServiceStub(self._channel(self.ingest_target))  # type: ignore[no-untyped-call]

    def cohort(self) -> Any:
        """Return the stub of CohortService."""
        return cohort_pb2_grpc.CohortServiceStub(self._channel(self.cohort_target))  # type: ignore[no-untyped-call]

    def sync(self) -> Any:
        """Return the stub of SyncService."""
        return sync_pb2_grpc.SyncServiceStub(self._channel(self.sync_target))  # type: ignore[no-untyped-call]

    def health(self) -> Any:
        """Return the stub of the health service at `target`."""
        return health_pb2_grpc.HealthStub(self._channel(None))

    def targets(self) -> list[str]:
        """Return the addresses spoken to so far."""
        return list(self.channels)

    def close(self) -> None:
        """Close every channel."""
        while self.channels:
            self.channels.popitem()[1].close()

    def _channel(self, own_target: str | None) -> grpc.Channel:
        target = own_target or self.target
        if target not in self.channels:
            self.channels[target] = connect(target, self.api_key, self.tls)
        return self.channels[target]


def session_of(context: typer.Context) -> Session:
    """Return the session that the global options have made."""
    session: Session = context.obj
    return session


def can_ask(yes: bool) -> bool:
    """Say whether to ask a question: there is somebody at a terminal, and no --yes."""
    return not yes and sys.stdin.isatty() and sys.stdout.isatty()
