"""How are cohorts saved, shown, changed and deleted? And what would a change do?"""

import asyncio
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from libs.clock import Clock
from libs.engine import Engine
from libs.errors import Invalid
from libs.gen.cohort.v1 import cohort_pb2, rule_pb2
from libs.index.roaring import to_array
from libs.rpc.errors import Context
from libs.rpc.pages import Pages, page_size
from libs.storage.requests import check_id, fingerprint
from services.cohort.handlers.base import Handlers
from services.cohort.impact import impact, refuse_referred, refuse_rule
from services.cohort.messages import UPDATABLE, read_fields, read_list, write_cohort
from services.cohort.references import check_references
from services.cohort.store import Change, CohortRecord, CohortStore
from services.cohort.translate import read_rule


class Saved(Handlers):
    """Handlers of saved cohorts."""

    def __init__(self, engine: Engine, store: CohortStore, clock: Clock) -> None:
        super().__init__(engine, store, clock)
        self._lists: Pages[list[CohortRecord]] = Pages(clock)

    async def CreateCohort(
        self, request: cohort_pb2.CreateCohortRequest, context: Context
    ) -> cohort_pb2.CreateCohortResponse:
        """Save a rule, or a list of customers, under a name."""
        sent = request.cohort
        listed = await asyncio.to_thread(read_list, sent)
        frozen = sent.static and sent.HasField("rule")
        fields = await asyncio.to_thread(
            read_fields,
            sent,
            ("name", "description") if listed is not None and not frozen else UPDATABLE,
            self._engine.calendar,
        )

        def change(changes: Change) -> bytes:
            rule = fields.pop("rule", None)
            if rule is not None:
                self._check(rule, None)
            if listed is None:
                cohort = self._with_size(changes.create(**fields, rule=rule, now=self._clock()))
            else:
                ids = listed if rule is None else self._frozen(rule)
                record = changes.create_static(**fields, customer_ids=ids, now=self._clock())
                cohort = self._with_size(record, ids)
            return cohort_pb2.CreateCohortResponse(cohort=cohort).SerializeToString()

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
            cohorts=await asyncio.to_thread(lambda: list(map(write_cohort, records[first:stop]))),
            next_page_token=self._lists.token(key, stop) if stop < len(records) else "",
        )

    async def UpdateCohort(
        self, request: cohort_pb2.UpdateCohortRequest, context: Context
    ) -> cohort_pb2.UpdateCohortResponse:
        """Change a saved cohort's name, description or rule."""
        sent, paths = request.cohort, list(request.update_mask.paths)
        if not paths or any(path not in UPDATABLE for path in paths):
            raise Invalid(
                "INVALID_UPDATE_MASK", f"name what to change: {', '.join(UPDATABLE)}", "update_mask"
            )
        changed = await asyncio.to_thread(read_fields, sent, tuple(paths), self._engine.calendar)

        def replace(changes: Change) -> tuple[CohortRecord, CohortRecord]:
            before = changes.current(sent.cohort_id, sent.etag)
            if "rule" in changed:
                refuse_rule(before)
                self._check(changed["rule"], sent.cohort_id)
            return before, changes.replace(before, self._clock(), **changed)

        def change(changes: Change) -> bytes:
            _, record = replace(changes)
            return cohort_pb2.UpdateCohortResponse(cohort=self._with_size(record)).SerializeToString()

        if request.validate_only:
            return await asyncio.to_thread(self._preview, replace)
        response = await self._mutate(request, change)
        return cohort_pb2.UpdateCohortResponse.FromString(response)

    async def DeleteCohort(
        self, request: cohort_pb2.DeleteCohortRequest, context: Context
    ) -> cohort_pb2.DeleteCohortResponse:
        """Delete a saved cohort."""

        def change(changes: Change) -> bytes:
            record = changes.current(request.cohort_id, request.etag)
            refuse_referred(record, self._store, self._runner)
            changes.delete(record)
            return b""

        await self._mutate(request, change)
        self._runner.forget(request.cohort_id)
        return cohort_pb2.DeleteCohortResponse()

    def _check(self, rule: bytes, cohort_id: str | None) -> None:
        """Refuse a rule that must not be saved, as this cohort, while nothing else is being saved."""
        read = read_rule(rule_pb2.Rule.FromString(rule), self._engine.calendar, "cohort.rule")
        check_references(read, "cohort.rule", self._rule_of, cohort_id)
        # what cannot be evaluated yet is not saved
        self._runner.plan(read, self._runner.moment(None, ""), "cohort.rule")

    def _frozen(self, rule: bytes) -> list[str]:
        """Return the ids of who matches a rule now."""
        read = read_rule(rule_pb2.Rule.FromString(rule), self._engine.calendar, "cohort.rule")
        members = self._runner.matching(read, self._runner.moment(None, ""))
        return self._engine.customer_ids(to_array(members))

    def _preview(
        self, replace: Callable[[Change], tuple[CohortRecord, CohortRecord]]
    ) -> cohort_pb2.UpdateCohortResponse:
        """Say what an update would do."""
        with self._store.trial() as changes:
            before, after = replace(changes)
        effect = impact(self._runner, before, after)
        cohort = write_cohort(effect.after)
        cohort.size, cohort.size_revision = effect.size, effect.revision
        return cohort_pb2.UpdateCohortResponse(
            cohort=cohort, entering=effect.entering, leaving=effect.leaving
        )

    async def _mutate(self, request: Message, change: Any) -> bytes:
        request_id: str = getattr(request, "request_id", "")
        check_id(request_id)
        key = (request_id, fingerprint(request)) if request_id else None

        def mutate() -> bytes:
            self._runner.moment(None, "")  # lists follow erasures before there is a new one
            return self._store.mutate(key, self._clock(), change)

        return await asyncio.to_thread(mutate)

    def _with_size(self, record: CohortRecord, listed: list[str] | None = None) -> cohort_pb2.Cohort:
        """Write a cohort with its size; one that is being saved as a list, with the list."""
        moment = self._runner.moment(None, "")
        cohort = write_cohort(record)
        if listed is None:
            cohort.size = len(self._runner.members(record, moment))
        else:
            cohort.size = self._runner.statics.size(listed, moment.snapshot, moment.as_of)
        cohort.size_revision = moment.revision
        return cohort
