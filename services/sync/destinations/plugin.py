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
MOST_REASONS = 20
"""Different reasons that a run takes from a plug-in: each is kept with the run, and shown."""
LONG = 8
"""Characters of what was sent that are looked for anywhere in a reason; fewer only as words of it."""
OTHER = re.compile(r"[^A-Z0-9]+")

T = TypeVar("T")


class PluginTarget(Feed):
    """An opened plug-in, of which `addresses` are those of its host: gRPC does not look the name up again."""

    page_size = DEFAULT_BATCH
    fields: Sequence[str] = ()

    def __init__(self, settings: PluginSettings, patience: Patience, addresses: Sequence[str]) -> None:
        self._target = settings.target
        self._patience = patience
        self._reasons: set[str] = set()
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
        answer = await self._call("ApplyBatch", request, sent=request)
        reasons = {
            reason: self._reason(reason, request) for reason in {one.reason for one in answer.rejected}
        }
        refused = {one.customer_id: reasons[one.reason] for one in answer.rejected}
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

    async def _call(self, method: str, request: Any, attempts: int | None = None, sent: Any = None) -> Any:
        async def once() -> Any:
            self.attempts += 1
            try:
                return await getattr(self._stub, method)(request, timeout=self._patience.upload_timeout)
            except grpc.RpcError as error:
                raise self._failure(Failure.of(error), sent) from None

        attempt: Callable[[], Awaitable[Any]] = once
        return await persist(
            attempt, self._patience, "the plug-in", attempts=attempts, check_going=self.check_going
        )

    def _reason(self, reason: str, sent: Any) -> str:
        """Return a reason as it may be kept and shown: not what was sent, and not one more than there may be."""
        if not _is_reason(reason, sent) or (
            reason not in self._reasons and len(self._reasons) >= MOST_REASONS
        ):
            return REFUSED
        self._reasons.add(reason)
        return reason

    def _failure(self, failure: Failure, sent: Any) -> DeliveryError:
        """Say what a failed call means for a run; `sent` is the batch that it answers, if it is one."""
        reason = failure.reason if _is_reason(failure.reason, sent) else ""
        said = f"the plug-in at {self._target} answered {failure.code.name}" + (
            f" {reason}" if reason else ""
        )
        if failure.code in PASSING:
            return Passing(said, failure.retry_after)
        if failure.code in NEEDS_A_PERSON:
            own = NEEDS_A_PERSON[failure.code]
            message = f"{said}: somebody has to put it right there, then resume the sync"
            return Blocked(reason or own, message, own)
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


def _is_reason(reason: str, sent: Any) -> bool:
    """Say whether something is a reason, and holds nothing of the customers of a batch, ids and values alike."""
    if not REASON.fullmatch(reason):
        return False
    if sent is None:
        return True
    bare = OTHER.sub("_", reason)
    for member in (*sent.adds, *sent.removes):
        values = (value.string_value for value in member.data.fields.values())
        for held in (member.customer_id, *values):
            name = OTHER.sub("_", held.upper()).strip("_")
            if name and (f"_{name}_" in f"_{bare}_" or (len(name) >= LONG and name in bare)):
                return False
    return True
