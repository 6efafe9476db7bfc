"""Who says who the members are in tests of sync? A CohortService with members that a test sets.

A real gRPC server on the loopback address: `GetCohort`, `GetMemberSet`, `ResolveMembers`. Customers have
numbers as in the real one: private to an epoch, never used twice, ascending in the order of first sight.
"""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from pyroaring import BitMap

from libs.errors import Invalid, Missing, Refused
from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc, event_pb2
from libs.rpc.access import Keys
from libs.rpc.errors import Context
from libs.rpc.server import Server

SERVICE = cohort_pb2.DESCRIPTOR.services_by_name["CohortService"]
GROUP = 1000


@dataclass
class FakeCohort:
    """A saved cohort."""

    name: str
    members: set[str] = field(default_factory=set)


class Profiles(dict[str, dict[str, Any]]):
    """Profiles, and how often each was put: one that is changed and changed back was changed all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.puts: Counter[str] = Counter()

    def __setitem__(self, customer_id: str, data: dict[str, Any]) -> None:
        """Put a profile."""
        self.puts[customer_id] += 1
        super().__setitem__(customer_id, data)


class FakeCohortService(cohort_pb2_grpc.CohortServiceServicer):
    """The service. Set `cohorts` and `profiles` as you like; `resolved` counts members named so far."""

    def __init__(self, api_key: str | None = None, shards: int = 1) -> None:
        self.cohorts: dict[str, FakeCohort] = {}
        self.profiles: dict[str, dict[str, Any]] = Profiles()
        self.resolved = 0
        self.member_sets = 0
        self.target = ""
        self.erase_on_resolve = ""
        """Erased when members are named next: behind a run's plan, and before its delivery."""
        self.epoch_ends_after: int | None = None
        """Begin a new epoch when so many more members have been named."""
        self._api_key = api_key
        self._shards = shards
        self._epoch = "epoch-0"
        self._numbers: dict[str, tuple[str, int]] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._profiles_at: dict[str, dict[str, Any]] = {}
        self._server: Server | None = None

    def add_cohort(self, name: str, members: Iterable[str] = ()) -> str:
        """Save a cohort and return its id."""
        cohort_id = f"coh_{len(self.cohorts)}"
        self.cohorts[cohort_id] = FakeCohort(name, set(members))
        return cohort_id

    def renumber(self) -> None:
        """Begin a new epoch, in which every customer has another number."""
        self._epoch = f"epoch-{secrets.token_hex(4)}"
        known = sorted(self._numbers, reverse=True)
        self._numbers.clear()
        self._names.clear()
        self._number("somebody else entirely")
        for customer_id in known:
            self._number(customer_id)

    def erase(self, customer_id: str) -> None:
        """Erase a customer: its number names nobody any more. Seen again, it gets another."""
        place = self._numbers.pop(customer_id, None)
        if place is not None:
            self._names[place] = ""
        for cohort in self.cohorts.values():
            cohort.members.discard(customer_id)

    def _number(self, customer_id: str) -> tuple[str, int]:
        if customer_id not in self._numbers:
            place = (f"shard-{len(self._names) % self._shards}", len(self._names))
            self._numbers[customer_id] = place
            self._names[place] = customer_id
        return self._numbers[customer_id]

    async def start(self, address: str = "127.0.0.1:0") -> str:
        """Listen, and return HOST:PORT."""
        self._server = Server(address, Keys(operator_secret=self._api_key) if self._api_key else None)
        self._server.add(SERVICE, self)
        self.target = f"127.0.0.1:{await self._server.start()}"
        return self.target

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            await self._server.stop()

    def _cohort(self, cohort_id: str) -> FakeCohort:
        if cohort_id not in self.cohorts:
            raise Missing("COHORT_NOT_FOUND", "there is no such cohort", "cohort", cohort_id)
        return self.cohorts[cohort_id]

    async def GetCohort(  # noqa: N802
        self, request: cohort_pb2.GetCohortRequest, context: Context
    ) -> cohort_pb2.GetCohortResponse:
        """Show a cohort."""
        cohort = self._cohort(request.cohort_id)
        message = cohort_pb2.Cohort(cohort_id=request.cohort_id, name=cohort.name, size=len(cohort.members))
        return cohort_pb2.GetCohortResponse(cohort=message)

    async def ListCohorts(  # noqa: N802
        self, request: cohort_pb2.ListCohortsRequest, context: Context
    ) -> cohort_pb2.ListCohortsResponse:
        """List all cohorts."""
        listed = [cohort_pb2.Cohort(cohort_id=cohort_id) for cohort_id in self.cohorts]
        return cohort_pb2.ListCohortsResponse(cohorts=listed)

    async def GetMemberSet(  # noqa: N802
        self, request: cohort_pb2.GetMemberSetRequest, context: Context
    ) -> cohort_pb2.GetMemberSetResponse:
        """Hand out the members as bitmaps."""
        cohort = self._cohort(request.cohort_id)
        self.member_sets += 1
        numbers: dict[str, BitMap] = {}
        for customer_id in sorted(cohort.members):
            shard, number = self._number(customer_id)
            numbers.setdefault(shard, BitMap()).add(number)
        shards = [
            cohort_pb2.MemberShard(shard=shard, roaring=bitmap.serialize())
            for shard, bitmap in sorted(numbers.items())
        ]
        revision = f"rev-{self.member_sets}"
        self._profiles_at[revision] = {name: self._version(name) for name in self.profiles}
        changed = None
        if request.profiles_since:
            changed = self._changed(cohort.members, request.profiles_since)
        return cohort_pb2.GetMemberSetResponse(
            members=cohort_pb2.MemberSet(epoch=self._epoch, shards=shards),
            size=len(cohort.members),
            revision=revision,
            cohort_name=cohort.name,
            changed=changed,
        )

    def _changed(self, members: set[str], since: str) -> cohort_pb2.MemberSet:
        """Return the members whose profiles are others than at a revision; all of them where it is unknown."""
        then = self._profiles_at.get(since)
        numbers: dict[str, BitMap] = {}
        for customer_id in members:
            if then is None or then.get(customer_id) != self._version(customer_id):
                shard, number = self._number(customer_id)
                numbers.setdefault(shard, BitMap()).add(number)
        shards = [
            cohort_pb2.MemberShard(shard=shard, roaring=bitmap.serialize())
            for shard, bitmap in sorted(numbers.items())
        ]
        return cohort_pb2.MemberSet(epoch=self._epoch, shards=shards)

    def _version(self, customer_id: str) -> Any:
        """Return what differs whenever a profile was put anew, or changed where it is."""
        data = self.profiles.get(customer_id)
        if data is None:
            return None
        puts = self.profiles.puts[customer_id] if isinstance(self.profiles, Profiles) else 0
        return puts, dict(data)

    async def ResolveMembers(  # noqa: N802
        self, request: cohort_pb2.ResolveMembersRequest, context: Context
    ) -> AsyncIterator[cohort_pb2.ResolveMembersResponse]:
        """Name members; those erased are left out."""
        if request.members.epoch != self._epoch:
            raise Refused("EPOCH_CHANGED", "these numbers are of another epoch")
        self.erase(self.erase_on_resolve)
        members: list[event_pb2.Member] = []
        for shard in request.members.shards:
            for number in BitMap.deserialize(shard.roaring):
                customer_id = self._names.get((shard.shard, number))
                if customer_id is None:
                    raise Invalid("UNKNOWN_MEMBER", "there never was such a member", "members")
                if customer_id:
                    members.append(self._member(customer_id, request))
        for start in range(0, len(members), GROUP):
            self.resolved += len(members[start : start + GROUP])
            yield cohort_pb2.ResolveMembersResponse(members=members[start : start + GROUP])
        if self.epoch_ends_after is not None:
            self.epoch_ends_after -= len(members)
            if self.epoch_ends_after <= 0:
                self.epoch_ends_after = None
                self.renumber()

    def _member(self, customer_id: str, request: cohort_pb2.ResolveMembersRequest) -> event_pb2.Member:
        member = event_pb2.Member(customer_id=customer_id)
        for name, value in self.profiles.get(customer_id, {}).items():
            if request.all_profile_fields or name in request.profile_fields:
                member.data[name] = value
        return member
