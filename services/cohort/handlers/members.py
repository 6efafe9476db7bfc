"""Who is in a saved cohort? In pages, as a stream, or as bitmaps that are named later."""

import asyncio
from collections.abc import AsyncIterator

from pyroaring import BitMap

from libs.clock import Clock
from libs.engine import SHARD, Engine
from libs.errors import Refused
from libs.gen.cohort.v1 import cohort_pb2, event_pb2
from libs.rpc.errors import Context
from libs.rpc.pages import Pages, page_size
from services.cohort.handlers.base import Handlers
from services.cohort.messages import read_set
from services.cohort.run import Result
from services.cohort.store import CohortStore

STREAM_PAGE = 1_000
"""Members in one message of a stream."""


class Members(Handlers):
    """Handlers that hand out members."""

    def __init__(self, engine: Engine, store: CohortStore, clock: Clock) -> None:
        super().__init__(engine, store, clock)
        self._member_pages: Pages[Result] = Pages(clock)
        self._streams: Pages[Result] = Pages(clock, token_field="cursor")  # nosec B106 # a field

    async def ListMembers(
        self, request: cohort_pb2.ListMembersRequest, context: Context
    ) -> cohort_pb2.ListMembersResponse:
        """List the members of a saved cohort with their profiles."""
        limit = page_size(request.page_size)
        held = self._member_pages.find(request)
        if held:
            result, key, first = held
        else:
            result, first = await asyncio.to_thread(self._evaluate, request), 0
            key = self._member_pages.keep(request, result) if len(result.members) > limit else b""
        page = result.page(first, limit)
        stop = first + len(page)
        response = cohort_pb2.ListMembersResponse(
            members=await asyncio.to_thread(self._members, result.moment, page, request.profile_fields),
            next_page_token=self._member_pages.token(key, stop) if stop < len(result.members) else "",
            size=len(result.members),
            revision=result.moment.revision,
        )
        response.as_of.FromMilliseconds(result.moment.as_of)
        return response

    async def StreamMembers(
        self, request: cohort_pb2.StreamMembersRequest, context: Context
    ) -> AsyncIterator[cohort_pb2.StreamMembersResponse]:
        """Stream all members of a saved cohort, of one snapshot."""
        held = self._streams.find(request)
        if held:
            result, key, first = held
        else:
            result, first = await asyncio.to_thread(self._evaluate, request), 0
            key = self._streams.keep(request, result)
        more = True
        while more:
            page = result.page(first, STREAM_PAGE)
            first += len(page)
            response = cohort_pb2.StreamMembersResponse(
                members=await asyncio.to_thread(self._members, result.moment, page, request.profile_fields),
                cursor=self._streams.token(key, first),
                size=len(result.members),
                revision=result.moment.revision,
            )
            response.as_of.FromMilliseconds(result.moment.as_of)
            yield response
            more = first < len(result.members)

    async def GetMemberSet(
        self, request: cohort_pb2.GetMemberSetRequest, context: Context
    ) -> cohort_pb2.GetMemberSetResponse:
        """Hand out the members of a saved cohort as a bitmap."""
        result = await asyncio.to_thread(self._evaluate, request)
        shard = cohort_pb2.MemberShard(shard=SHARD, roaring=result.members.serialize())
        response = cohort_pb2.GetMemberSetResponse(
            members=cohort_pb2.MemberSet(epoch=self._engine.epoch, shards=[shard]),
            size=len(result.members),
            revision=result.moment.revision,
            cohort_name=result.name,
        )
        if request.profiles_since:
            changed = await asyncio.to_thread(self._changed, result, request.profiles_since)
            response.changed.epoch = self._engine.epoch
            response.changed.shards.add(shard=SHARD, roaring=changed.serialize())
        response.as_of.FromMilliseconds(result.moment.as_of)
        return response

    def _changed(self, result: Result, since: str) -> BitMap:
        """Return the members whose profile may have changed behind a revision; all where it is unknown."""
        changed = self._engine.changed_since(since, result.moment.snapshot)
        return result.members if changed is None else changed & result.members

    async def ResolveMembers(
        self, request: cohort_pb2.ResolveMembersRequest, context: Context
    ) -> AsyncIterator[cohort_pb2.ResolveMembersResponse]:
        """Name the customers of a member set."""
        moment = await asyncio.to_thread(self._runner.moment, None, "")
        if request.members.epoch != self._engine.epoch:
            raise Refused(
                "EPOCH_CHANGED", "these members are of another epoch; compare by customer ids instead"
            )
        members = read_set(request.members, moment.snapshot.customers)
        with_profiles = request.all_profile_fields or bool(request.profile_fields)
        fields = () if request.all_profile_fields else request.profile_fields
        result = Result(moment, members)
        for first in range(0, len(members), STREAM_PAGE):
            page = result.page(first, STREAM_PAGE)
            if with_profiles:
                named = await asyncio.to_thread(self._members, moment, page, fields)
            else:
                present = await asyncio.to_thread(self._engine.present, page)
                named = [event_pb2.Member(customer_id=each) for each in self._engine.customer_ids(present)]
            yield cohort_pb2.ResolveMembersResponse(members=named)
