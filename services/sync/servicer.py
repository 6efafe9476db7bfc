"""How does SyncService answer? Translates; the rules are in `registry` and `lifecycle`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from google.protobuf.message import Message

from libs.clock import Clock
from libs.errors import Missing, Refused, Unavailable
from libs.gen.cohort.v1 import sync_pb2, sync_pb2_grpc
from libs.rpc.errors import Context
from libs.storage.requests import check_id, fingerprint
from services.sync import incoming, outgoing, settings
from services.sync.destinations.base import DeliveryError
from services.sync.destinations.opener import Opener
from services.sync.lifecycle import COHORT_DELETED, Lifecycle, Outcome
from services.sync.members import CohortGone, Members, MembersError
from services.sync.model import Destination, Settings, Sync, SyncState
from services.sync.paging import Paging
from services.sync.previewing import preview
from services.sync.progress import RunError
from services.sync.registry import Registry
from services.sync.runner import Runner
from services.sync.store import Store

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the servicer works with."""

    store: Store
    registry: Registry
    lifecycle: Lifecycle
    runner: Runner
    members: Members
    opener: Opener
    clock: Clock
    data_dir: Path


class SyncServicer(sync_pb2_grpc.SyncServiceServicer):
    """SyncService over one store."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._registry = parts.registry
        self._lifecycle = parts.lifecycle
        self._runner = parts.runner
        self._now = parts.clock

    # Destinations

    async def CreateDestination(
        self, request: sync_pb2.CreateDestinationRequest, context: Context
    ) -> sync_pb2.CreateDestinationResponse:
        """Save a destination."""
        name = settings.destination_name(request.destination.name)
        asked = settings.settings(request.destination, self._parts.data_dir)

        def create(txn: Any) -> tuple[sync_pb2.CreateDestinationResponse, None]:
            made = self._registry.create(txn, name, asked, self._now())
            return sync_pb2.CreateDestinationResponse(destination=outgoing.destination(made)), None

        return await self._mutate(
            request,
            sync_pb2.CreateDestinationResponse,
            create,
            lambda: self._parts.opener.check_settings(asked),
        )

    async def GetDestination(
        self, request: sync_pb2.GetDestinationRequest, context: Context
    ) -> sync_pb2.GetDestinationResponse:
        """Show a destination."""
        found = await self._destination(request.destination_id)
        return sync_pb2.GetDestinationResponse(destination=outgoing.destination(found))

    async def ListDestinations(
        self, request: sync_pb2.ListDestinationsRequest, context: Context
    ) -> sync_pb2.ListDestinationsResponse:
        """List destinations by name."""
        paging = Paging(("ListDestinations",), request.page_size, request.page_token)
        page = await self._store.reading(
            lambda txn: paging.read(lambda after: self._store.destinations(txn, after))
        )
        return sync_pb2.ListDestinationsResponse(
            destinations=map(outgoing.destination, page.items), next_page_token=page.next_token
        )

    async def UpdateDestination(
        self, request: sync_pb2.UpdateDestinationRequest, context: Context
    ) -> sync_pb2.UpdateDestinationResponse:
        """Change a destination."""
        destination_id = incoming.required(request.destination.destination_id, "destination.destinationId")

        def changed(before: Destination) -> tuple[str, Settings]:
            return settings.changed_destination(
                request.destination, request.update_mask.paths, before, self._parts.data_dir
            )

        async def check() -> None:
            before = await self._destination(destination_id, "destination.destinationId")
            _, after = changed(before)
            if after != before.settings:
                await self._parts.opener.check_settings(after)

        def update(txn: Any) -> tuple[sync_pb2.UpdateDestinationResponse, None]:
            before = self._registry.find(txn, destination_id, "destination.destinationId")
            after = self._registry.update(txn, before, *changed(before), self._now())
            return sync_pb2.UpdateDestinationResponse(destination=outgoing.destination(after)), None

        return await self._mutate(request, sync_pb2.UpdateDestinationResponse, update, check)

    async def DeleteDestination(
        self, request: sync_pb2.DeleteDestinationRequest, context: Context
    ) -> sync_pb2.DeleteDestinationResponse:
        """Delete a destination that no sync uses."""
        destination_id = incoming.required(request.destination_id, "destinationId")

        def delete(txn: Any) -> tuple[sync_pb2.DeleteDestinationResponse, None]:
            self._registry.delete(txn, destination_id)
            return sync_pb2.DeleteDestinationResponse(), None

        return await self._mutate(request, sync_pb2.DeleteDestinationResponse, delete)

    async def TestDestination(
        self, request: sync_pb2.TestDestinationRequest, context: Context
    ) -> sync_pb2.TestDestinationResponse:
        """Try a destination without sending any customer."""
        destination = await self._destination(request.destination_id)
        try:
            target = await self._parts.opener.open(destination)
            try:
                return sync_pb2.TestDestinationResponse(ok=True, message=await target.check())
            finally:
                await target.close()
        except DeliveryError as error:
            return sync_pb2.TestDestinationResponse(ok=False, message=str(error))

    # Syncs

    async def CreateSync(
        self, request: sync_pb2.CreateSyncRequest, context: Context
    ) -> sync_pb2.CreateSyncResponse:
        """Make a sync."""
        draft = incoming.sync_draft(request.sync)

        def create(txn: Any) -> Outcome:
            return self._lifecycle.create_sync(txn, draft, self._now())

        return await self._change_sync(
            request, sync_pb2.CreateSyncResponse, create, lambda: self._check_cohort(draft.cohort_id)
        )

    async def GetSync(self, request: sync_pb2.GetSyncRequest, context: Context) -> sync_pb2.GetSyncResponse:
        """Show a sync."""
        sync_id = incoming.required(request.sync_id, "syncId")
        await self._runner.pause_orphans()
        return await self._store.reading(
            lambda txn: sync_pb2.GetSyncResponse(sync=self._write(txn, self._lifecycle.sync(txn, sync_id)))
        )

    async def ListSyncs(
        self, request: sync_pb2.ListSyncsRequest, context: Context
    ) -> sync_pb2.ListSyncsResponse:
        """List syncs, oldest first."""
        await self._runner.pause_orphans()
        cohort_id, destination_id = request.cohort_id, request.destination_id
        paging = Paging(("ListSyncs", cohort_id, destination_id), request.page_size, request.page_token)

        def wanted(sync: Sync) -> bool:
            return cohort_id in ("", sync.cohort_id) and destination_id in ("", sync.destination_id)

        def read(txn: Any) -> sync_pb2.ListSyncsResponse:
            page = paging.read(lambda after: self._store.syncs(txn, after), wanted)
            syncs = [self._write(txn, sync) for sync in page.items]
            return sync_pb2.ListSyncsResponse(syncs=syncs, next_page_token=page.next_token)

        return await self._store.reading(read)

    async def UpdateSync(
        self, request: sync_pb2.UpdateSyncRequest, context: Context
    ) -> sync_pb2.UpdateSyncResponse:
        """Change the schedule, mode or guard of a sync."""
        sync_id = incoming.required(request.sync.sync_id, "sync.syncId")
        change = incoming.sync_change(request.sync, request.update_mask.paths)

        def update(txn: Any) -> Outcome:
            return self._lifecycle.update_sync(txn, sync_id, request.sync.etag, change, self._now())

        return await self._change_sync(request, sync_pb2.UpdateSyncResponse, update)

    async def PauseSync(
        self, request: sync_pb2.PauseSyncRequest, context: Context
    ) -> sync_pb2.PauseSyncResponse:
        """Take a sync off its schedule."""
        sync_id = incoming.required(request.sync_id, "syncId")

        def pause(txn: Any) -> Outcome:
            return self._lifecycle.pause_sync(txn, sync_id, self._now())

        return await self._change_sync(request, sync_pb2.PauseSyncResponse, pause)

    async def ResumeSync(
        self, request: sync_pb2.ResumeSyncRequest, context: Context
    ) -> sync_pb2.ResumeSyncResponse:
        """Put a sync on its schedule again."""
        sync_id = incoming.required(request.sync_id, "syncId")

        def resume(txn: Any) -> Outcome:
            return self._lifecycle.resume_sync(txn, sync_id, self._now())

        return await self._change_sync(
            request, sync_pb2.ResumeSyncResponse, resume, lambda: self._check_resumable(sync_id)
        )

    async def DeleteSync(
        self, request: sync_pb2.DeleteSyncRequest, context: Context
    ) -> sync_pb2.DeleteSyncResponse:
        """Delete a sync that is not running."""
        sync_id = incoming.required(request.sync_id, "syncId")

        def delete(txn: Any) -> tuple[sync_pb2.DeleteSyncResponse, Outcome]:
            sync = self._lifecycle.delete_sync(txn, sync_id)
            return sync_pb2.DeleteSyncResponse(), Outcome(sync)

        return await self._mutate(request, sync_pb2.DeleteSyncResponse, delete)

    async def PreviewSync(
        self, request: sync_pb2.PreviewSyncRequest, context: Context
    ) -> sync_pb2.PreviewSyncResponse:
        """Say what a run would do now."""
        sync_id = incoming.required(request.sync_id, "syncId")
        sync = await self._store.reading(lambda txn: self._lifecycle.sync(txn, sync_id))
        destination = await self._destination(sync.destination_id)
        parts = self._parts
        try:
            target = await parts.opener.open(destination)
            try:
                return outgoing.preview(await preview(self._store, parts.members, sync, target))
            finally:
                await target.close()
        except CohortGone:
            raise Refused(COHORT_DELETED, f"the cohort of sync {sync_id} was deleted") from None
        except MembersError as error:
            raise Unavailable("COHORT_SERVICE_UNAVAILABLE", f"{error}; try again") from None
        except (DeliveryError, RunError) as error:
            raise Refused("DESTINATION_FAILED", f"the run would fail: {error}") from None

    # Runs

    async def RunSync(self, request: sync_pb2.RunSyncRequest, context: Context) -> sync_pb2.RunSyncResponse:
        """Start a run now."""
        sync_id = incoming.required(request.sync_id, "syncId")

        def begin(txn: Any) -> tuple[sync_pb2.RunSyncResponse, Outcome]:
            sync, run = self._lifecycle.begin_run(txn, sync_id, self._now())
            return sync_pb2.RunSyncResponse(run=outgoing.run(run)), Outcome(sync, run)

        return await self._mutate(request, sync_pb2.RunSyncResponse, begin)

    async def CancelSyncRun(
        self, request: sync_pb2.CancelSyncRunRequest, context: Context
    ) -> sync_pb2.CancelSyncRunResponse:
        """Stop a run behind the batch it is at."""
        run_id = incoming.required(request.run_id, "runId")

        def cancel(txn: Any) -> tuple[sync_pb2.CancelSyncRunResponse, None]:
            return sync_pb2.CancelSyncRunResponse(
                run=outgoing.run(self._lifecycle.cancel_run(txn, run_id))
            ), None

        return await self._mutate(request, sync_pb2.CancelSyncRunResponse, cancel)

    async def GetSyncRun(
        self, request: sync_pb2.GetSyncRunRequest, context: Context
    ) -> sync_pb2.GetSyncRunResponse:
        """Show a run."""
        run_id = incoming.required(request.run_id, "runId")
        found = await self._store.reading(lambda txn: self._lifecycle.run(txn, run_id))
        return sync_pb2.GetSyncRunResponse(run=outgoing.run(found))

    async def ListSyncRuns(
        self, request: sync_pb2.ListSyncRunsRequest, context: Context
    ) -> sync_pb2.ListSyncRunsResponse:
        """List the runs of a sync, newest first."""
        sync_id = incoming.required(request.sync_id, "syncId")
        paging = Paging(("ListSyncRuns", sync_id), request.page_size, request.page_token)

        def read(txn: Any) -> sync_pb2.ListSyncRunsResponse:
            sync = self._lifecycle.sync(txn, sync_id)
            page = paging.read(lambda before: self._store.runs(txn, sync.sync_id, before))
            return sync_pb2.ListSyncRunsResponse(
                runs=map(outgoing.run, page.items), next_page_token=page.next_token
            )

        return await self._store.reading(read)

    # What they share

    async def _change_sync(
        self,
        request: Any,
        response_type: type[M],
        change: Callable[[Any], Outcome],
        check: Callable[[], Awaitable[object]] | None = None,
    ) -> M:
        """Apply a change to a sync as `_mutate` does, and answer with the sync."""

        respond = cast(Callable[..., M], response_type)

        def apply(txn: Any) -> tuple[M, Outcome]:
            outcome = change(txn)
            return respond(sync=self._write(txn, outcome.sync)), outcome

        return await self._mutate(request, response_type, apply, check)

    async def _mutate(
        self,
        request: Any,
        response_type: type[M],
        change: Callable[[Any], tuple[M, Outcome | None]],
        check: Callable[[], Awaitable[object]] | None = None,
    ) -> M:
        """Apply a change once for each request id, and act on its outcome.

        `change` returns the response, and what is to be acted on once it is committed. `check` is what must
        hold outside of the store; a repeat is answered as the first time even if it no longer does.
        """
        check_id(request.request_id)
        content = fingerprint(request)

        def find(txn: Any) -> bytes | None:
            if not request.request_id:
                return None
            return self._store.requests.find(txn, request.request_id, content, self._now())

        def apply(txn: Any) -> tuple[M, Outcome | None]:
            repeated = find(txn)
            if repeated is not None:
                return response_type.FromString(repeated), None
            response, outcome = change(txn)
            if request.request_id:
                encoded = response.SerializeToString()
                self._store.requests.record(txn, request.request_id, content, self._now(), encoded)
            return response, outcome

        if check is not None and await self._store.reading(find) is None:
            await check()
        response, outcome = await self._store.writing(apply)
        if outcome is not None:
            self._runner.act(outcome)
        return response

    async def _destination(self, destination_id: str, field: str = "destinationId") -> Destination:
        incoming.required(destination_id, field)
        return await self._store.reading(lambda txn: self._registry.find(txn, destination_id, field))

    def _write(self, txn: Any, sync: Sync) -> sync_pb2.Sync:
        return outgoing.sync(sync, self._store.run(txn, sync.last_run) if sync.last_run else None)

    async def _check_cohort(self, cohort_id: str) -> None:
        """Raise `Missing` unless the cohort exists, `Unavailable` where nobody can say."""
        try:
            await self._parts.members.check_cohort(cohort_id)
        except CohortGone:
            shown = cohort_id[:64]
            raise Missing(
                "COHORT_NOT_FOUND", f"there is no cohort {shown!r}", "cohort", shown, "sync.cohortId"
            ) from None
        except MembersError as error:
            raise Unavailable("COHORT_SERVICE_UNAVAILABLE", f"{error}; try again") from None

    async def _check_resumable(self, sync_id: str) -> None:
        """Raise `Refused` where the sync is paused and its cohort is gone."""
        sync = await self._store.reading(lambda txn: self._lifecycle.sync(txn, sync_id))
        if sync.state is not SyncState.PAUSED:
            return
        try:
            await self._check_cohort(sync.cohort_id)
        except Missing:
            raise Refused(
                COHORT_DELETED, f"the cohort of sync {sync_id} was deleted: delete the sync too"
            ) from None
