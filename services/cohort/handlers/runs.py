"""Who matches a rule, in either form, and how is one form written as the other?"""

import asyncio

from libs.clock import Clock
from libs.engine import Engine
from libs.gen.cohort.v1 import cohort_pb2
from libs.rpc.errors import Context
from libs.rpc.pages import Pages, page_size
from services.cohort.advice import warnings
from services.cohort.handlers.base import Handlers
from services.cohort.messages import as_of
from services.cohort.references import check_references
from services.cohort.run import Result
from services.cohort.store import CohortStore
from services.cohort.texts import Texts


class Runs(Handlers):
    """Handlers of rules that need not be saved."""

    def __init__(self, engine: Engine, store: CohortStore, clock: Clock) -> None:
        super().__init__(engine, store, clock)
        self._texts = Texts(store, engine.calendar)
        self._runs: Pages[tuple[Result, list[str]]] = Pages(clock)

    async def RunRule(
        self, request: cohort_pb2.RunRuleRequest, context: Context
    ) -> cohort_pb2.RunRuleResponse:
        """Run a rule."""
        limit = page_size(request.page_size)
        held = self._runs.find(request)
        if held:
            (result, advice), key, first = held
            response = await asyncio.to_thread(self._answer, request, result, advice, first, limit)
        else:
            first, key = 0, b""
            result, advice, response = await asyncio.to_thread(self._run, request, limit)
        if not request.count_only and first + limit < len(result.members):
            key = key or self._runs.keep(request, (result, advice))
            response.next_page_token = self._runs.token(key, first + limit)
        return response

    def _run(
        self, request: cohort_pb2.RunRuleRequest, limit: int
    ) -> tuple[Result, list[str], cohort_pb2.RunRuleResponse]:
        """Run a rule and write its first page: one thread for both, since each costs a caller some 0.1 ms."""
        with self._texts.asked(request) as rule:
            check_references(rule, "rule", self._rule_of)
            result = self._runner.run(
                rule,
                as_of(request),
                request.min_revision,
                nodes=request.with_node_sizes,
                explain=request.explain_plan,
            )
        advice = warnings(rule, result.moment.snapshot)
        return result, advice, self._answer(request, result, advice, 0, limit)

    def _answer(
        self, request: cohort_pb2.RunRuleRequest, result: Result, advice: list[str], first: int, limit: int
    ) -> cohort_pb2.RunRuleResponse:
        """Write an answer whose page has up to `limit` members from a place on."""
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
            response.members.extend(self._members(result.moment, page, request.profile_fields))
        else:
            present = self._engine.present(page) if first else page  # the first page is of this moment
            response.customer_ids.extend(self._engine.customer_ids(present))
        return response

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
