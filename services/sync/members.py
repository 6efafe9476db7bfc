"""Who is a member now? A client of the cohort service: whether a cohort exists, its member set, their names.

Members cross the wire as bitmaps, and are named only as they are needed, in groups of the caller's size, so
that memory does not grow with the cohort. No protobuf type leaves this module.

    MembersError
    ├── CohortGone         the cohort does not exist
    └── Renumbered         the numbers are of an epoch that has ended
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct
from pyroaring import BitMap

from libs import tracing
from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc, event_pb2, rule_pb2
from libs.rpc.client import Credentials, Metadata, connect_async
from libs.rpc.errors import Failure
from libs.rpc.tls import ClientTls
from services.sync.delivered import Entry

CALL_SECONDS = 60.0
"""How long one call may take: evaluating a rule over everything takes seconds at most."""
LIST_SECONDS = 5.0
LIST_PAGE = 10_000
EXACT_INTEGER = 2.0**53
"""Up to here a double that is whole is exactly one integer, and is written as one."""

Profile = Mapping[str, str | float | int | bool]
Profiles = bool | Sequence[str]
"""What to answer of profiles: all, nothing, or these attributes."""


class MembersError(Exception):
    """The members cannot be had. The message is for people, and is shown as the error of a run."""


class CohortGone(MembersError):
    """The cohort does not exist."""


class Renumbered(MembersError):
    """The numbers are of an epoch that has ended."""


@dataclass(frozen=True, slots=True)
class MemberSet:
    """The members of a cohort at one revision: their numbers, by shard, which mean something in one epoch.

    `changed` are those whose profiles may have changed behind the revision that was asked for; None where nothing
    was asked, or is known.
    """

    cohort_id: str
    cohort_name: str
    revision: str
    epoch: str
    numbers: dict[str, BitMap]
    changed: dict[str, BitMap] | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A member with its number, and its profile where that was asked for."""

    entry: Entry
    profile: Profile = field(default_factory=dict)


class Members:
    """A channel to the cohort service. Nothing is sent before the first call."""

    def __init__(self, target: str, credentials: Credentials, tls: ClientTls | None = None) -> None:
        self._channel = connect_async(target, tls)
        self._stub: Any = cohort_pb2_grpc.CohortServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._own = credentials

    def _metadata(self) -> Metadata:
        return (*self._own(), *tracing.carried())

    async def check_cohort(self, cohort_id: str) -> None:
        """Return where the cohort exists. Raises `CohortGone`, `MembersError`."""
        try:
            await self._stub.GetCohort(
                cohort_pb2.GetCohortRequest(cohort_id=cohort_id),
                metadata=self._metadata(),
                timeout=CALL_SECONDS,
            )
        except grpc.RpcError as error:
            raise _translate(error) from error

    async def name(self, cohort_id: str) -> str:
        """Return the name of a cohort; "" where there is none any more, or the cohort service does not say."""
        request = cohort_pb2.GetCohortRequest(cohort_id=cohort_id)
        try:
            found = await self._stub.GetCohort(request, metadata=self._metadata(), timeout=LIST_SECONDS)
        except grpc.RpcError:
            return ""
        return str(found.cohort.name)

    async def reach(self, revision: str) -> None:
        """Return when the cohort service is at a revision or behind it. Raises `MembersError`."""
        nobody = rule_pb2.Rule(any=rule_pb2.AnyRule())
        request = cohort_pb2.RunRuleRequest(rule=nobody, min_revision=revision, count_only=True)
        try:
            await self._stub.RunRule(request, metadata=self._metadata(), timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            raise _translate(error) from error

    async def existing(self) -> set[str] | None:
        """Return the ids of all cohorts, or None where the cohort service does not say."""
        found: set[str] = set()
        token = ""  # nosec B105 # of a page
        while True:
            request = cohort_pb2.ListCohortsRequest(page_size=LIST_PAGE, page_token=token)
            try:
                page = await self._stub.ListCohorts(request, metadata=self._metadata(), timeout=LIST_SECONDS)
            except grpc.RpcError:
                return None
            found.update(cohort.cohort_id for cohort in page.cohorts)
            token = page.next_page_token
            if not token:
                return found

    async def get(self, cohort_id: str, profiles_since: str = "") -> MemberSet:
        """Return the members as of now, and who of them may have changed behind a revision, where one is given.

        Raises `CohortGone`, `MembersError`.
        """
        try:
            response = await self._stub.GetMemberSet(
                cohort_pb2.GetMemberSetRequest(cohort_id=cohort_id, profiles_since=profiles_since),
                metadata=self._metadata(),
                timeout=CALL_SECONDS,
                wait_for_ready=True,  # a run may start while the cohort service does
            )
        except grpc.RpcError as error:
            raise _translate(error) from error
        return MemberSet(
            cohort_id,
            response.cohort_name,
            response.revision,
            response.members.epoch,
            _numbers(response.members),
            _numbers(response.changed) if response.HasField("changed") else None,
        )

    async def resolve(
        self, epoch: str, group: tuple[tuple[str, BitMap], ...], *, profiles: Profiles
    ) -> list[Member]:
        """Name members, in order, with these profiles. Those erased since are left out.

        Raises `Renumbered`, `MembersError`.
        """
        return [
            member
            for shard, numbers in group
            for member in await self._resolve(epoch, shard, numbers, profiles=profiles)
        ]

    async def _resolve(self, epoch: str, shard: str, numbers: BitMap, *, profiles: Profiles) -> list[Member]:
        """Name members of one shard.

        Answers carry no numbers, only their order; where some are missing, halves are asked for until it is
        clear which: that costs about 2·log2(n) calls for each customer erased since, which is rare.
        """
        found = await self._call(epoch, shard, numbers, profiles=profiles)
        if len(found) == len(numbers):
            return [
                Member(Entry(member.customer_id, shard, number), _plain(member.data) if profiles else {})
                for member, number in zip(found, numbers, strict=True)
            ]
        if len(found) > len(numbers):
            raise MembersError("the cohort service named more members than it was asked for")
        if not found:
            return []
        half = len(numbers) // 2
        return [
            *await self._resolve(epoch, shard, numbers[:half], profiles=profiles),
            *await self._resolve(epoch, shard, numbers[half:], profiles=profiles),
        ]

    async def _call(
        self, epoch: str, shard: str, numbers: BitMap, *, profiles: Profiles
    ) -> list[event_pb2.Member]:
        members = cohort_pb2.MemberSet(
            epoch=epoch, shards=[cohort_pb2.MemberShard(shard=shard, roaring=numbers.serialize())]
        )
        request = cohort_pb2.ResolveMembersRequest(members=members, all_profile_fields=profiles is True)
        if not isinstance(profiles, bool):
            request.profile_fields.extend(profiles)
        try:
            stream = self._stub.ResolveMembers(request, metadata=self._metadata(), timeout=CALL_SECONDS)
            return [member async for response in stream for member in response.members]
        except grpc.RpcError as error:
            raise _translate(error) from error

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


def _numbers(members: cohort_pb2.MemberSet) -> dict[str, BitMap]:
    return {shard.shard: BitMap.deserialize(shard.roaring) for shard in members.shards}


def _translate(error: grpc.RpcError) -> MembersError:
    """Say what a failed call means for us; details of the answer that could hold data stay out."""
    failure = Failure.of(error)
    if failure.code is grpc.StatusCode.NOT_FOUND:
        return CohortGone("the cohort does not exist any more")
    if failure.reason == "EPOCH_CHANGED":
        return Renumbered("the cohort service renumbered its customers during the run; run the sync again")
    if failure.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return MembersError("the cohort service cannot be reached")
    name = failure.reason or failure.code.name
    return MembersError(f"the cohort service could not say who the members are ({name})")


def _plain(data: Struct) -> Profile:
    """Return a profile as plain values, whole numbers as integers, attributes in order of their names."""
    plain: dict[str, str | float | int | bool] = {}
    for name in sorted(data.fields):
        value = data.fields[name]
        match value.WhichOneof("kind"):
            case "string_value":
                plain[name] = value.string_value
            case "bool_value":
                plain[name] = value.bool_value
            case "number_value":
                number = value.number_value
                whole = number.is_integer() and abs(number) <= EXACT_INTEGER
                plain[name] = int(number) if whole else number
    return plain
