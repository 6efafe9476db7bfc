"""How does a plug-in take members? Over gRPC: whatever serves DestinationService is a destination.

The plug-in says in Describe what it wants: which profile attributes, how large a batch, which modes. Those
attributes are kept for each customer as they were sent, and sent again when the customer is to be removed. A
batch keeps (run_id, batch_seq) over every retry, by which the plug-in tells a repeat. No message of a plug-in
is shown or logged as it stands: only its status and its reason, which are no personal data.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc
import msgspec

from libs.gen.cohort.v1 import destination_pb2, destination_pb2_grpc, event_pb2
from libs.rpc.client import connect_at
from libs.rpc.errors import Failure
from services.sync.destinations.base import (
    REFUSED,
    Blocked,
    DeliveryError,
    Feed,
    Opening,
    Page,
    Passing,
    Receipt,
    Unmatchable,
)
from services.sync.destinations.retrying import Patience, persist
from services.sync.members import Member, Profile
from services.sync.model import Mode, PluginSettings

DEFAULT_BATCH = 1000
MOST_BATCH = 10_000
PASSING = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
NEEDS_A_PERSON = {
    grpc.StatusCode.FAILED_PRECONDITION: "DESTINATION_NOT_READY",
    grpc.StatusCode.UNAUTHENTICATED: "CREDENTIALS_REFUSED",
    grpc.StatusCode.PERMISSION_DENIED: "CREDENTIALS_REFUSED",
}
"""Statuses that stay until somebody changes something, and the reason where the plug-in names none."""
REASON = re.compile(r"[A-Z][A-Z0-9_]{0,62}")

T = TypeVar("T")


class PluginTarget(Feed):
    """An opened plug-in, of which `addresses` are those of its host: gRPC does not look the name up again."""

    page_size = DEFAULT_BATCH
    fields: Sequence[str] = ()

    def __init__(self, settings: PluginSettings, patience: Patience, addresses: Sequence[str]) -> None:
        self._target = settings.target
        self._patience = patience
        self._channel = connect_at(settings.target, addresses)
        self._stub: Any = destination_pb2_grpc.DestinationServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def check(self) -> str:
        """Ask the plug-in what it is, once."""
        described = await self._describe(attempts=1)
        modes = ", ".join(sorted(self.modes))
        return f"{described.name[:64] or 'a plug-in'} at {self._target} answers; it does {modes}"

    async def prepare(self) -> None:
        """Ask what the plug-in wants."""
        await self._describe()

    def calls_beside(self, audience: str) -> int:
        """Count Describe, OpenAudience where it is new, and CloseRun."""
        return 2 if audience else 3

    async def open(self, opening: Opening) -> str:
        """Open the audience; one that was opened before is kept."""
        if opening.audience:
            return opening.audience
        request = destination_pb2.OpenAudienceRequest(
            sync_id=opening.sync_id, cohort_name=opening.cohort_name
        )
        answer = await self._call("OpenAudience", request)
        if not answer.audience:
            raise DeliveryError(f"the plug-in at {self._target} named no audience")
        return str(answer.audience)

    @property
    def keying(self) -> bytes:
        """The attributes that are sent."""
        return msgspec.msgpack.encode(tuple(self.fields))

    def keys(self, members: Sequence[Member]) -> list[bytes | Unmatchable]:
        """Return the attributes that are sent."""
        return [_encode(member.profile, self.fields) for member in members]

    async def send(self, page: Page) -> Receipt:
        """Send one batch, until it is answered."""
        request = destination_pb2.ApplyBatchRequest(
            audience=page.opening.audience,
            run_id=page.opening.run_id,
            batch_seq=page.number,
            adds=[_member(add.customer_id, add.key) for add in page.adds],
            removes=[_member(removal.customer_id, removal.key) for removal in page.removes],
            mode=str(page.opening.mode),
        )
        answer = await self._call("ApplyBatch", request)
        refused = {one.customer_id: _reason(one.reason) for one in answer.rejected}
        sent = {add.customer_id for add in page.adds} | {removal.customer_id for removal in page.removes}
        if not refused.keys() <= sent:
            raise DeliveryError(f"the plug-in at {self._target} rejected customers it was not sent")
        lost = len(page.adds) + len(page.removes) - len(refused) - answer.accepted
        if lost:
            raise DeliveryError(
                f"the plug-in at {self._target} accounts for {answer.accepted + len(refused)} of "
                f"{len(page.adds) + len(page.removes)} customers"
            )
        return Receipt(refused)

    async def finish(self, opening: Opening, held: int) -> Sequence[str]:
        """Say that the run has sent everything."""
        request = destination_pb2.CloseRunRequest(audience=opening.audience, run_id=opening.run_id)
        await self._call("CloseRun", request)
        return ()

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def _describe(self, attempts: int | None = None) -> Any:
        described = await self._call("Describe", destination_pb2.DescribeRequest(), attempts)
        known = {mode.value for mode in Mode}
        self.modes = frozenset(Mode(mode) for mode in described.modes if mode in known)
        if not self.modes:
            raise DeliveryError(f"the plug-in at {self._target} names no mode it can do")
        self.fields = tuple(described.match_keys)
        self.page_size = min(
            described.batch_limit if described.batch_limit > 0 else DEFAULT_BATCH, MOST_BATCH
        )
        return described

    async def _call(self, method: str, request: Any, attempts: int | None = None) -> Any:
        async def once() -> Any:
            self.attempts += 1
            try:
                return await getattr(self._stub, method)(request, timeout=self._patience.upload_timeout)
            except grpc.RpcError as error:
                raise self._failure(Failure.of(error)) from None

        attempt: Callable[[], Awaitable[Any]] = once
        return await persist(
            attempt, self._patience, "the plug-in", attempts=attempts, check_going=self.check_going
        )

    def _failure(self, failure: Failure) -> DeliveryError:
        """Say what a failed call means for a run."""
        reason = failure.reason if REASON.fullmatch(failure.reason) else ""
        said = f"the plug-in at {self._target} answered {failure.code.name}" + (
            f" {reason}" if reason else ""
        )
        if failure.code in PASSING:
            return Passing(said, failure.retry_after)
        if failure.code in NEEDS_A_PERSON:
            return Blocked(
                reason or NEEDS_A_PERSON[failure.code],
                f"{said}: somebody has to put it right there, then resume the sync",
            )
        return DeliveryError(said)


def _encode(profile: Profile, fields: Sequence[str]) -> bytes:
    """Return the attributes that a plug-in wants as a key; empty where it wants none."""
    kept = {name: profile[name] for name in fields if name in profile}
    return msgspec.msgpack.encode(kept) if fields else b""


def _member(customer_id: str, key: bytes) -> event_pb2.Member:
    member = event_pb2.Member(customer_id=customer_id)
    if key:
        member.data.update(msgspec.msgpack.decode(key))
    return member


def _reason(reason: str) -> str:
    return reason if REASON.fullmatch(reason) else REFUSED
