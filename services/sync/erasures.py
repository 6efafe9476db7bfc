"""Who was erased, and is to leave every destination? A client of the ingest service's list of erasures.

No protobuf type leaves this module.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import grpc

from libs.gen.cohort.v1 import ingest_pb2, ingest_pb2_grpc
from libs.rpc.client import Credentials, connect_async
from libs.rpc.errors import Failure
from libs.rpc.tls import ClientTls

CALL_SECONDS = 30.0
PAGE = 1_000
"""Erasures read at a time: what a page of most destinations holds."""
WAITS_REPORTED = 20
"""Syncs that are named for one erasure: the most that the ingest service takes."""


class ErasuresError(Exception):
    """The list cannot be had, or not confirmed: which call failed, and how."""

    def __init__(self, method: str, code: grpc.StatusCode) -> None:
        super().__init__(f"{method}: {code.name}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Erasure:
    """One customer who was erased, and the revision at which that was."""

    erasure_id: str
    customer_id: str
    revision: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Something an erasure waits for: a sync and its destination, where it is one; and why, UPPER_SNAKE."""

    reason: str
    sync_id: str = ""
    destination_id: str = ""
    destination_name: str = ""


class Erasures:
    """A channel to the ingest service. Nothing is sent before the first call."""

    def __init__(self, target: str, credentials: Credentials, tls: ClientTls | None = None) -> None:
        self._channel = connect_async(target, tls)
        self._stub: Any = ingest_pb2_grpc.IngestServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._credentials = credentials

    async def page(self, token: str = "") -> tuple[list[Erasure], str]:
        """Return those of a page that are not acknowledged, and the token of the next page, "" at the end."""
        request = ingest_pb2.ListErasuresRequest(page_size=PAGE, page_token=token)
        answer = await self._call("ListErasures", request)
        found = [
            Erasure(one.erasure_id, one.customer_id, one.revision)
            for one in answer.erasures
            if not one.acknowledged
        ]
        return found, answer.next_page_token

    async def confirm(self, erasure_id: str) -> None:
        """Say that no destination holds the customer any more; one that was confirmed already is no error."""
        try:
            await self._call("ConfirmErasure", ingest_pb2.ConfirmErasureRequest(erasure_id=erasure_id))
        except ErasuresError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise

    async def report(self, waits: Sequence[tuple[str, Sequence[Wait]]]) -> None:
        """Say what erasures, by their ids, wait for. A service that is older than this call need not know."""
        reports = [
            ingest_pb2.ErasureReport(
                erasure_id=erasure_id,
                waits_for=[ingest_pb2.ErasureWait(**asdict(wait)) for wait in each[:WAITS_REPORTED]],
            )
            for erasure_id, each in waits
        ]
        try:
            await self._call("ReportErasures", ingest_pb2.ReportErasuresRequest(reports=reports))
        except ErasuresError as error:
            if error.code is not grpc.StatusCode.UNIMPLEMENTED:
                raise

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def _call(self, method: str, request: Any) -> Any:
        try:
            call = getattr(self._stub, method)
            return await call(request, metadata=self._credentials(), timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            failure = Failure.of(error)
            raise ErasuresError(method, failure.code) from error
