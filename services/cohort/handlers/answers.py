"""What is answered about a set beyond who is in it? Its sizes over time, how it lies to others, and why.

Each takes one moment, asks a pure module (`history`, `compare`, `explain`) and writes what it says.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pyroaring import BitMap

from libs.errors import Invalid
from libs.gen.cohort.v1 import cohort_pb2
from libs.rpc.errors import Context
from services.cohort.compare import MAX_SETS, MIN_SETS, compare
from services.cohort.explain import Subject, explain
from services.cohort.explained import Writer
from services.cohort.handlers.base import Handlers
from services.cohort.history import history, read_days
from services.cohort.messages import as_of
from services.cohort.run import Moment
from services.cohort.turns import changes_at

Members = Callable[[Moment], BitMap]
"""Who is in a set at a moment."""


class Answers(Handlers):
    """Handlers of what is asked about sets."""

    async def GetSizeHistory(
        self, request: cohort_pb2.GetSizeHistoryRequest, context: Context
    ) -> cohort_pb2.GetSizeHistoryResponse:
        """Say how large a cohort was on each of some days."""
        return await asyncio.to_thread(self._history, request)

    def _history(self, request: cohort_pb2.GetSizeHistoryRequest) -> cohort_pb2.GetSizeHistoryResponse:
        members = self._set(request)
        days = read_days(request.start, request.to)
        moment = self._runner.moment(None, "")
        points = history(days, self._engine.calendar, lambda end: len(members(replace(moment, as_of=end))))
        return cohort_pb2.GetSizeHistoryResponse(
            points=[cohort_pb2.SizePoint(date=date, size=size) for date, size in points],
            revision=moment.revision,
        )

    async def CompareCohorts(
        self, request: cohort_pb2.CompareCohortsRequest, context: Context
    ) -> cohort_pb2.CompareCohortsResponse:
        """Say how large all intersections of some cohorts are."""
        return await asyncio.to_thread(self._compare, request)

    def _compare(self, request: cohort_pb2.CompareCohortsRequest) -> cohort_pb2.CompareCohortsResponse:
        if not MIN_SETS <= len(request.comparands) <= MAX_SETS:
            what = f"{MIN_SETS} to {MAX_SETS} cohorts or rules are compared at once"
            raise Invalid("INVALID_COMPARANDS", what, "comparands")
        sets = [self._set(each, f"comparands[{place}].") for place, each in enumerate(request.comparands)]
        moment = self._runner.moment(as_of(request), "")
        response = cohort_pb2.CompareCohortsResponse(
            intersections=[
                cohort_pb2.Intersection(indexes=each.indexes, size=each.size, exclusive_size=each.exclusive)
                for each in compare([members(moment) for members in sets])
            ],
            revision=moment.revision,
        )
        response.as_of.FromMilliseconds(moment.as_of)
        return response

    async def ExplainMembership(
        self, request: cohort_pb2.ExplainMembershipRequest, context: Context
    ) -> cohort_pb2.ExplainMembershipResponse:
        """Explain why a customer is a member of a cohort or not."""
        if not request.customer_id:
            raise Invalid("MISSING_CUSTOMER_ID", "customer_id is empty", "customer_id")
        return await asyncio.to_thread(self._explain, request)

    def _explain(self, request: cohort_pb2.ExplainMembershipRequest) -> cohort_pb2.ExplainMembershipResponse:
        if request.WhichOneof("of") == "cohort_id":
            rule = self._runner.rule_of(self._store.get(request.cohort_id, "cohort_id"))
        else:
            rule = self._rule(request, "rule")
        moment = self._runner.moment(as_of(request), "")
        customer = self._engine.customer(request.customer_id, moment.snapshot)
        subject = Subject(self._engine, self._runner.plan, moment, customer)
        root = explain(rule, subject)
        response = cohort_pb2.ExplainMembershipResponse(revision=moment.revision)
        response.as_of.FromMilliseconds(moment.as_of)
        turn = changes_at(root, subject, self._rule_of)
        if turn is not None:
            response.changes_at.FromMilliseconds(turn)
        writer = Writer(self._engine, moment.snapshot, request.customer_id, customer, self._store.name_of)
        writer.write(root, response.root)
        return response

    def _set(self, message: Any, prefix: str = "") -> Members:
        """Return who is in the rule or saved cohort of a message. Raises `Invalid`, `Missing`."""
        if message.WhichOneof("of") == "cohort_id":
            return partial(self._runner.members, self._store.get(message.cohort_id, f"{prefix}cohort_id"))
        path = f"{prefix}rule"
        return partial(self._runner.matching, self._rule(message, path), path=path)
