"""What does CohortService answer? Translation between the wire and the runner, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.clock import Clock
from libs.engine import SHARD, Engine
from libs.errors import Fault, Invalid, Missing, NotBuilt, Refused
from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc, event_pb2, rule_pb2
from libs.rpc.errors import Context, code_of, number
from libs.rpc.pages import Pages, page_size
from libs.rpc.values import struct
from libs.storage.requests import check_id, fingerprint
from services.cohort.advice import warnings
from services.cohort.links import Linker
from services.cohort.messages import UPDATABLE, as_of, read_fields, read_set, write_cohort
from services.cohort.references import check_references
from services.cohort.rule import Rule
from services.cohort.run import Moment, Result, Runner
from services.cohort.store import Change, CohortRecord, CohortStore
from services.cohort.texts import Texts
from services.cohort.translate import read_rule

MAX_COHORTS = 1_000
MAX_PAIRS = 10_000
STREAM_PAGE = 1_000


class CohortServicer(cohort_pb2_grpc.CohortServiceServicer):
    """CohortService over one engine and one store of saved cohorts."""

    def __init__(self, engine: Engine, store: CohortStore, clock: Clock) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._runner = Runner(engine, store, clock)
        self._texts = Texts(store, engine.calendar)
        self._runs: Pages[tuple[Result, list[str]]] = Pages(clock)
        self._member_pages: Pages[Result] = Pages(clock)
        self._streams: Pages[Result] = Pages(clock, token_field="cursor")
        self._lists: Pages[list[CohortRecord]] = Pages(clock)

    async def RunRule(
        self, request: cohort_pb2.RunRuleRequest, context: Context
    ) -> cohort_pb2.RunRuleResponse:
        """Run a rule."""
        limit = page_size(request.page_size)
        held = self._runs.find(request)
        if held:
            (result, advice), key, first = held
        else:
            result, advice = await asyncio.to_thread(self._run, request)
            paged = not request.count_only and len(result.members) > limit
            first, key = 0, self._runs.keep(request, (result, advice)) if paged else b""
        response = cohort_pb2.RunRuleResponse(
            size=len(result.members),
            revision=result.moment.revision,
            warnings=advice,
            node_sizes=result.nodes,
        )
        response.as_of.FromMilliseconds(result.moment.as_of)
        response.elapsed.FromNanoseconds(result.nanoseconds)
        for path, cost in result.costs:
            node = response.plan.add(path=path, access=cost.access, size=cost.size)
            node.elapsed.FromNanoseconds(cost.nanoseconds)
        if request.count_only:
            return response
        page = result.page(first, limit)
        if request.profile_fields:
            response.members.extend(
                await asyncio.to_thread(self._members, result.moment, page, request.profile_fields)
            )
        else:
            response.customer_ids.extend(self._engine.customer_ids(page))
        if first + len(page) < len(result.members):
            response.next_page_token = self._runs.token(key, first + len(page))
        return response

    def _run(self, request: cohort_pb2.RunRuleRequest) -> tuple[Result, list[str]]:
        with self._texts.asked(request) as rule:
            check_references(rule, "rule", self._rule_of)
            result = self._runner.run(
                rule,
                as_of(request),
                request.min_revision,
                nodes=request.with_node_sizes,
                explain=request.explain_plan,
            )
        return result, warnings(rule, result.moment.snapshot)

    async def ParseRule(
        self, request: cohort_pb2.ParseRuleRequest, context: Context
    ) -> cohort_pb2.ParseRuleResponse:
        """Read the text form of a rule."""
        return cohort_pb2.ParseRuleResponse(rule=await asyncio.to_thread(self._texts.parse, request.text))

    async def FormatRule(
        self, request: cohort_pb2.FormatRuleRequest, context: Context
    ) -> cohort_pb2.FormatRuleResponse:
        """Write the canonical text form of a rule."""
        return cohort_pb2.FormatRuleResponse(text=await asyncio.to_thread(self._texts.format, request))

    async def CreateCohort(
        self, request: cohort_pb2.CreateCohortRequest, context: Context
    ) -> cohort_pb2.CreateCohortResponse:
        """Save a rule under a name."""
        sent = request.cohort
        if sent.static or sent.customer_ids:
            raise NotBuilt(
                "NOT_BUILT_YET", "this version of Cohort does not keep static cohorts yet", "cohort.static"
            )
        fields = read_fields(sent, UPDATABLE, self._engine.calendar)

        def change(changes: Change) -> bytes:
            self._check(fields["rule"], None)
            record = changes.create(**fields, now=self._clock())
            return cohort_pb2.CreateCohortResponse(cohort=self._with_size(record)).SerializeToString()

        response = await self._mutate(request, change)
        return cohort_pb2.CreateCohortResponse.FromString(response)

    async def GetCohort(
        self, request: cohort_pb2.GetCohortRequest, context: Context
    ) -> cohort_pb2.GetCohortResponse:
        """Show a saved cohort with its size."""
        record = self._store.get(request.cohort_id)
        return cohort_pb2.GetCohortResponse(cohort=await asyncio.to_thread(self._with_size, record))

    async def ListCohorts(
        self, request: cohort_pb2.ListCohortsRequest, context: Context
    ) -> cohort_pb2.ListCohortsResponse:
        """List the saved cohorts by name."""
        limit = page_size(request.page_size)
        held = self._lists.find(request)
        if held:
            records, key, first = held
        else:
            records, first = self._store.all(), 0
            key = self._lists.keep(request, records) if len(records) > limit else b""
        stop = min(first + limit, len(records))
        return cohort_pb2.ListCohortsResponse(
            cohorts=[write_cohort(record) for record in records[first:stop]],
            next_page_token=self._lists.token(key, stop) if stop < len(records) else "",
        )

    async def UpdateCohort(
        self, request: cohort_pb2.UpdateCohortRequest, context: Context
    ) -> cohort_pb2.UpdateCohortResponse:
        """Change a saved cohort's name, description or rule."""
        if request.validate_only:
            raise NotBuilt(
                "NOT_BUILT_YET", "this version of Cohort does not preview updates yet", "validate_only"
            )
        sent, paths = request.cohort, list(request.update_mask.paths)
        if not paths or any(path not in UPDATABLE for path in paths):
            raise Invalid(
                "INVALID_UPDATE_MASK", f"name what to change: {', '.join(UPDATABLE)}", "update_mask"
            )
        changed = read_fields(sent, tuple(paths), self._engine.calendar)

        def change(changes: Change) -> bytes:
            before = changes.current(sent.cohort_id, sent.etag)
            if "rule" in changed:
                self._check(changed["rule"], sent.cohort_id)
            record = changes.replace(before, self._clock(), **changed)
            return cohort_pb2.UpdateCohortResponse(cohort=self._with_size(record)).SerializeToString()

        response = await self._mutate(request, change)
        return cohort_pb2.UpdateCohortResponse.FromString(response)

    async def DeleteCohort(
        self, request: cohort_pb2.DeleteCohortRequest, context: Context
    ) -> cohort_pb2.DeleteCohortResponse:
        """Delete a saved cohort."""

        def change(changes: Change) -> bytes:
            changes.delete(changes.current(request.cohort_id, request.etag))
            return b""

        await self._mutate(request, change)
        self._runner.forget(request.cohort_id)
        return cohort_pb2.DeleteCohortResponse()

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
        response.as_of.FromMilliseconds(result.moment.as_of)
        return response

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
                named = [event_pb2.Member(customer_id=each) for each in self._engine.customer_ids(page)]
            yield cohort_pb2.ResolveMembersResponse(members=named)

    async def CheckMembership(
        self, request: cohort_pb2.CheckMembershipRequest, context: Context
    ) -> cohort_pb2.CheckMembershipResponse:
        """Say of which of some cohorts a customer is a member."""
        if not request.customer_id:
            raise Invalid("MISSING_CUSTOMER_ID", "customer_id is empty", "customer_id")
        if not request.cohort_ids:
            raise Invalid("MISSING_COHORT_IDS", "name at least one cohort", "cohort_ids")
        if len(request.cohort_ids) > MAX_COHORTS:
            raise Invalid(
                "BATCH_TOO_LARGE", f"at most {MAX_COHORTS} cohorts are checked at once", "cohort_ids"
            )
        records = [
            self._store.get(cohort_id, f"cohort_ids[{place}]")
            for place, cohort_id in enumerate(request.cohort_ids)
        ]
        found, moment = await asyncio.to_thread(self._cohorts_with, request, records)
        response = cohort_pb2.CheckMembershipResponse(
            results=[
                cohort_pb2.Membership(cohort_id=record.cohort_id, member=record.cohort_id in found)
                for record in records
            ],
            revision=moment.revision,
        )
        response.as_of.FromMilliseconds(moment.as_of)
        return response

    async def BatchCheckMembership(
        self, request: cohort_pb2.BatchCheckMembershipRequest, context: Context
    ) -> cohort_pb2.BatchCheckMembershipResponse:
        """Check pairs of customer and cohort, each answered on its own."""
        if len(request.pairs) > MAX_PAIRS:
            raise Invalid("BATCH_TOO_LARGE", f"at most {MAX_PAIRS} pairs are checked at once", "pairs")
        return await asyncio.to_thread(self._check_pairs, request)

    async def LookupCohorts(
        self, request: cohort_pb2.LookupCohortsRequest, context: Context
    ) -> cohort_pb2.LookupCohortsResponse:
        """List the saved cohorts a customer is in."""
        if not request.customer_id:
            raise Invalid("MISSING_CUSTOMER_ID", "customer_id is empty", "customer_id")
        records = self._store.all()
        found, moment = await asyncio.to_thread(self._cohorts_with, request, records)
        cohorts = [write_cohort(r, with_rule=False) for r in records if r.cohort_id in found]
        response = cohort_pb2.LookupCohortsResponse(cohorts=cohorts, revision=moment.revision)
        response.as_of.FromMilliseconds(moment.as_of)
        return response

    def _check(self, rule: bytes, cohort_id: str | None) -> None:
        """Refuse a rule that must not be saved, as this cohort, while nothing else is being saved."""
        read = read_rule(rule_pb2.Rule.FromString(rule), self._engine.calendar, "cohort.rule")
        check_references(read, "cohort.rule", self._rule_of, cohort_id)
        linker = Linker(self._rule_of, 0, self._engine.calendar)
        linker.plan(read, "cohort.rule")  # what cannot be evaluated yet is not saved

    def _rule_of(self, cohort_id: str, field: str) -> Rule:
        return self._runner.rule_of(self._store.get(cohort_id, field))

    async def _mutate(self, request: Message, change: Any) -> bytes:
        request_id: str = getattr(request, "request_id", "")
        check_id(request_id)
        key = (request_id, fingerprint(request)) if request_id else None
        return await asyncio.to_thread(self._store.mutate, key, self._clock(), change)

    def _with_size(self, record: CohortRecord) -> cohort_pb2.Cohort:
        moment = self._runner.moment(None, "")
        cohort = write_cohort(record)
        cohort.size = len(self._runner.members(record, moment))
        cohort.size_revision = moment.revision
        return cohort

    def _evaluate(self, request: Any) -> Result:
        """Return the members of the cohort that a request names, at the moment it names."""
        record = self._store.get(request.cohort_id)
        moment = self._runner.moment(as_of(request), request.min_revision)
        return Result(moment, self._runner.members(record, moment), name=record.name)

    def _members(self, moment: Moment, page: NDArray[np.uint32], fields: Any) -> list[event_pb2.Member]:
        """Return members with their profiles, or the fields asked for, as the snapshot has them."""
        ids = self._engine.customer_ids(page)
        profiles = self._engine.profiles(moment.snapshot, page, frozenset(fields))
        return [
            event_pb2.Member(customer_id=customer_id, data=struct(data))
            for customer_id, data in zip(ids, profiles, strict=True)
        ]

    def _cohorts_with(self, request: Any, records: list[CohortRecord]) -> tuple[set[str], Moment]:
        """Return the ids of those cohorts that a request's customer is in."""
        moment = self._runner.moment(as_of(request), request.min_revision)
        customer = self._engine.customer(request.customer_id, moment.snapshot)
        if customer is None:
            return set(), moment
        one = BitMap([customer])
        return {r.cohort_id for r in records if self._runner.members_among(r, moment, one)}, moment

    def _check_pairs(
        self, request: cohort_pb2.BatchCheckMembershipRequest
    ) -> cohort_pb2.BatchCheckMembershipResponse:
        moment = self._runner.moment(as_of(request), request.min_revision)
        response = cohort_pb2.BatchCheckMembershipResponse(revision=moment.revision)
        response.as_of.FromMilliseconds(moment.as_of)
        wanted: dict[str, set[int]] = {}
        customers = [self._engine.customer(pair.customer_id, moment.snapshot) for pair in request.pairs]
        for pair, customer in zip(request.pairs, customers, strict=True):
            if customer is not None:
                wanted.setdefault(pair.cohort_id, set()).add(customer)
        found: dict[str, BitMap | Missing] = {}
        for cohort_id in {pair.cohort_id for pair in request.pairs}:
            try:
                record = self._store.get(cohort_id)
            except Missing as fault:
                found[cohort_id] = fault
            else:
                among = BitMap(wanted.get(cohort_id, ()))
                found[cohort_id] = self._runner.members_among(record, moment, among)
        response.results.extend(
            _answer(pair, customer, found[pair.cohort_id])
            for pair, customer in zip(request.pairs, customers, strict=True)
        )
        return response


def _answer(pair: Any, customer: int | None, members: BitMap | Missing) -> cohort_pb2.MembershipResult:
    """Answer one pair: a member or not, or what was wrong with it."""
    fault: Fault | None = members if isinstance(members, Missing) else None
    if not pair.customer_id:
        fault = Invalid("MISSING_CUSTOMER_ID", "customer_id is empty", "customer_id")
    if fault is not None:
        error = event_pb2.ItemError(code=number(code_of(fault)), reason=fault.reason, message=fault.message)
        return cohort_pb2.MembershipResult(error=error)
    member = isinstance(members, BitMap) and customer is not None and customer in members
    return cohort_pb2.MembershipResult(member=member)
