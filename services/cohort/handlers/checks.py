"""Is a customer in? Of some cohorts, of all, or pair by pair; by that customer's own events alone."""

import asyncio
from typing import Any

from pyroaring import BitMap

from libs.errors import Fault, Invalid, Missing
from libs.gen.cohort.v1 import cohort_pb2, event_pb2
from libs.rpc.errors import Context, code_of, number
from services.cohort.handlers.base import Handlers
from services.cohort.messages import as_of, write_cohort
from services.cohort.run import Moment
from services.cohort.store import CohortRecord

MAX_COHORTS = 1_000
MAX_PAIRS = 10_000

MEMBER, NO_MEMBER = cohort_pb2.MembershipResult(member=True), cohort_pb2.MembershipResult(member=False)
"""Copied into responses, never changed."""


class Checks(Handlers):
    """Handlers of membership checks."""

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
        pairs = [(pair.customer_id, pair.cohort_id) for pair in request.pairs]
        customers = self._engine.numbers([customer_id for customer_id, _ in pairs], moment.snapshot)
        wanted: dict[str, list[int]] = {cohort_id: [] for _, cohort_id in pairs}
        for (_, cohort_id), customer in zip(pairs, customers, strict=True):
            if customer is not None:
                wanted[cohort_id].append(customer)
        found: dict[str, BitMap | Missing] = {}
        for cohort_id, asked in wanted.items():
            try:
                record = self._store.get(cohort_id)
            except Missing as fault:
                found[cohort_id] = fault
            else:
                found[cohort_id] = self._runner.members_among(record, moment, BitMap(asked))
        response.results.extend(
            _answer(customer_id, customer, found[cohort_id])
            for (customer_id, cohort_id), customer in zip(pairs, customers, strict=True)
        )
        return response


def _answer(customer_id: str, customer: int | None, members: BitMap | Missing) -> cohort_pb2.MembershipResult:
    """Answer one pair: a member or not, or what was wrong with it."""
    if customer_id and isinstance(members, BitMap):
        return MEMBER if customer is not None and customer in members else NO_MEMBER
    fault: Fault = Invalid("MISSING_CUSTOMER_ID", "customer_id is empty", "customer_id")
    if customer_id and isinstance(members, Missing):
        fault = members
    error = event_pb2.ItemError(code=number(code_of(fault)), reason=fault.reason, message=fault.message)
    return cohort_pb2.MembershipResult(error=error)
