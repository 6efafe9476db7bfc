"""How is a plug-in destination written? A worked example: one that keeps the members in memory, and misbehaves.

Anything that serves DestinationService is a destination. This one shows the four calls and the one rule that
matters, that a batch which comes again answers as the first time and is not applied again. By hand, to try it:

    python -m tests.fakes.plugin --port 50060
    cohort serve --data-dir data --insecure
    cohort destinations add plugin mine --target 127.0.0.1:50060

    async with plugin() as served:
        served.troubles.append(grpc.StatusCode.UNAVAILABLE)     # the next call
        served.members(audience)                                # customer id → data
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import json_format

from libs.errors import Refused
from libs.gen.cohort.v1 import destination_pb2, destination_pb2_grpc
from libs.rpc.server import Server

SERVICE = destination_pb2.DESCRIPTOR.services_by_name["DestinationService"]


@dataclass
class Audience:
    """Who is in an audience, what a run of REPLACE has brought so far, and what was answered to each batch."""

    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    staged: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    answers: dict[tuple[str, int], destination_pb2.ApplyBatchResponse] = field(default_factory=dict)


class Plugin(destination_pb2_grpc.DestinationServiceServicer):
    """A destination. `refuse` are customers it rejects; `troubles` are how to fail the next calls."""

    def __init__(self, wants: tuple[str, ...] = ("email",), batch: int = 1000) -> None:
        self.wants = wants
        self.batch = batch
        self.refuse: set[str] = set()
        self.reason: Callable[[str], str] = lambda customer_id: "NO_CONSENT"
        """Why a customer is rejected."""
        self.refuse_with = ""
        """The reason, of ErrorInfo, with which the next batch is refused as a whole."""
        self.troubles: list[grpc.StatusCode] = []
        self.lose_answers = 0
        """How many batches are applied and then answered UNAVAILABLE."""
        self.target = ""
        self.requests: list[destination_pb2.ApplyBatchRequest] = []
        self.closed: list[str] = []
        self._audiences: dict[str, Audience] = {}

    def members(self, audience: str) -> dict[str, dict[str, Any]]:
        """Return who is in an audience."""
        return dict(self._audiences[audience].members)

    @property
    def audiences(self) -> list[str]:
        """The audiences there are."""
        return list(self._audiences)

    async def Describe(  # noqa: N802
        self, request: destination_pb2.DescribeRequest, context: Any
    ) -> destination_pb2.DescribeResponse:
        """Say what this destination is and wants."""
        await self._fail(context)
        return destination_pb2.DescribeResponse(
            name="example",
            match_keys=self.wants,
            batch_limit=self.batch,
            modes=["MIRROR", "ADD_ONLY", "REPLACE"],
        )

    async def OpenAudience(  # noqa: N802
        self, request: destination_pb2.OpenAudienceRequest, context: Any
    ) -> destination_pb2.OpenAudienceResponse:
        """Find or make the audience of a sync: named by the sync, so that a repeat makes no second one."""
        await self._fail(context)
        audience = f"audience-of-{request.sync_id}"
        self._audiences.setdefault(audience, Audience())
        return destination_pb2.OpenAudienceResponse(audience=audience)

    async def ApplyBatch(  # noqa: N802
        self, request: destination_pb2.ApplyBatchRequest, context: Any
    ) -> destination_pb2.ApplyBatchResponse:
        """Apply a batch once, removals first, and answer a repeat as the first time."""
        await self._fail(context)
        if self.refuse_with:
            raise Refused(self.refuse_with, "canary-words of the plug-in")
        self.requests.append(request)
        audience = self._audiences[request.audience]
        place = request.run_id, request.batch_seq
        if place not in audience.answers:
            audience.answers[place] = self._apply(audience, request)
        if self.lose_answers:
            self.lose_answers -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
        return audience.answers[place]

    def _apply(
        self, audience: Audience, request: destination_pb2.ApplyBatchRequest
    ) -> destination_pb2.ApplyBatchResponse:
        held = audience.members
        if request.mode == "REPLACE":
            held = audience.staged.setdefault(request.run_id, {})
        answer = destination_pb2.ApplyBatchResponse()
        for member in request.removes:
            held.pop(member.customer_id, None)
            answer.accepted += 1
        for member in request.adds:
            if member.customer_id in self.refuse:
                answer.rejected.add(customer_id=member.customer_id, reason=self.reason(member.customer_id))
            else:
                held[member.customer_id] = json_format.MessageToDict(member.data)
                answer.accepted += 1
        return answer

    async def CloseRun(  # noqa: N802
        self, request: destination_pb2.CloseRunRequest, context: Any
    ) -> destination_pb2.CloseRunResponse:
        """End a run; the full set of a run of REPLACE comes into force."""
        await self._fail(context)
        audience = self._audiences[request.audience]
        if request.run_id in audience.staged:
            audience.members = audience.staged.pop(request.run_id)
        self.closed.append(request.run_id)
        return destination_pb2.CloseRunResponse()

    async def _fail(self, context: Any) -> None:
        if self.troubles:
            await context.abort(self.troubles.pop(0), "canary-words of the plug-in")


@asynccontextmanager
async def plugin(port: int = 0, **options: Any) -> AsyncIterator[Plugin]:
    """Serve the example on a port of this machine; 0 takes a free one."""
    served = Plugin(**options)
    server = Server(f"127.0.0.1:{port}")
    server.add(SERVICE, served)
    served.target = f"127.0.0.1:{await server.start()}"
    try:
        yield served
    finally:
        await server.stop()


async def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve the example of a plug-in destination.")
    parser.add_argument("--port", type=int, default=50060)
    async with plugin(parser.parse_args().port) as served:
        print(f"plug-in at {served.target}")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
