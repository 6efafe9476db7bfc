"""How does an erased customer leave every destination? By the rows of what was uploaded, whatever a sync is set to.

The list of erasures is read every few seconds. For each sync: what was sent for the customer is sent again to be
removed; only when the destination has acknowledged does the row go. Paused syncs, those that only add and those of
a deleted cohort are no exception, and no guard holds an erasure back. When no sync has anything of a customer left,
the cohort service has followed (its lists have dropped the id) and this service's own file is overwritten where the
rows were, the erasure is confirmed. Until then it stays listed, and is tried again: everything here may be repeated.

A run is not disturbed: an erasure waits for its end, since it may be about to send the customer. A customer of the
same id who came since is removed too, and added again by the next run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from libs.errors import Fault, frames
from libs.storage.wipe import WipeError
from services.sync.delivered import Removal
from services.sync.destinations.base import DeliveryError, Feed, Opening, Page, Snapshot, Target
from services.sync.erasures import Erasure, Erasures, ErasuresError
from services.sync.members import Members, MembersError
from services.sync.model import Destination, Mode, Sync
from services.sync.runner import Runner
from services.sync.store import Store

EVERY_SECONDS = 5.0
"""How often the list is read: one call that answers from one table."""
PATIENCE_SECONDS = 120.0
"""How long one destination may keep the others waiting in one round."""

log = structlog.get_logger()


class Erasing:
    """Works through the list for one store. `open_target` opens a destination."""

    def __init__(
        self,
        store: Store,
        runner: Runner,
        erasures: Erasures,
        members: Members,
        open_target: Callable[[Destination], Awaitable[Target]],
        every: float = EVERY_SECONDS,
    ) -> None:
        self._store = store
        self._runner = runner
        self._erasures = erasures
        self._members = members
        self._open_target = open_target
        self._every = every
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def start(self) -> None:
        """Read the list now, and then every few seconds."""
        self._task = asyncio.create_task(self._keep_on())

    async def stop(self) -> None:
        """Do no more, and wait for the batch that is at a destination."""
        self._stopping.set()
        if self._task:
            await self._task

    async def close(self) -> None:
        """Close the channel."""
        await self._erasures.close()

    async def _keep_on(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.round()
                self._failing = False
            except (ErasuresError, MembersError, Fault, WipeError) as error:
                if not self._failing:  # said once, and again when it has worked in between
                    log.warning("erasures wait", reason=str(error))
                self._failing = True
            except Exception as error:
                log.error("erasing failed", error=type(error).__name__, where=frames(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._every)

    async def round(self) -> int:
        """Go through the list once; return how many erasures were confirmed.

        Raises `ErasuresError`, `MembersError`, `Fault` and `WipeError`; what is left is for the next round.
        """
        confirmed, token = 0, ""
        while not self._stopping.is_set():
            page, token = await self._erasures.page(token)
            if page:
                confirmed += await self._work_off(page)
            if not token:
                break
        return confirmed

    async def _work_off(self, page: Sequence[Erasure]) -> int:
        ids = list(dict.fromkeys(erasure.customer_id for erasure in page))
        waiting: set[str] = set()
        for sync in await self._store.reading(lambda txn: [each for _, each in self._store.syncs(txn)]):
            if self._stopping.is_set():
                return 0
            waiting |= await self._leave(sync, ids)
        done = [erasure for erasure in page if erasure.customer_id not in waiting]
        if done:
            await self._members.reach(done[-1].revision)
            await self._store.wipe()
        for erasure in done:
            await self._erasures.confirm(erasure.erasure_id)
        if done:
            log.info("erasures confirmed", count=len(done))
        return len(done)

    async def _leave(self, sync: Sync, ids: Sequence[str]) -> set[str]:
        """Take customers off the destination of a sync; return those who may still be there."""
        async with self._runner.pausing(sync.sync_id) as idle:
            if not idle:
                return set(ids)
            removals = await self._store.reading(lambda txn: self._held(txn, sync, ids))
            if not removals:
                await self._forget(sync, ids, frozenset())
                return set()
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    refused = await self._remove(sync, removals)
            except (DeliveryError, Fault, TimeoutError) as error:
                # What it says may name a place, and is in no record: `cohort destinations test` says it.
                log.warning(
                    "a destination keeps erased customers",
                    sync_id=sync.sync_id,
                    error=type(error).__name__,
                    reason=getattr(error, "reason", ""),
                )
                refused = frozenset(removal.customer_id for removal in removals)
            await self._forget(sync, ids, refused)
            return set(refused)

    def _held(self, txn: Any, sync: Sync, ids: Sequence[str]) -> list[Removal]:
        """Return what was uploaded for such of some customers as the destination has, or may have."""
        rows = self._store.delivered.keys(txn, sync.sync_id, ids)
        wanted = set(ids)
        sent = {
            (one.entry.customer_id, one.entry.key)
            for one in self._store.in_flight.left(txn, sync.sync_id)
            if one.entry.customer_id in wanted
        }
        return [Removal(*each) for each in sorted({*rows.items(), *sent})]

    async def _remove(self, sync: Sync, removals: Sequence[Removal]) -> frozenset[str]:
        """Have the destination remove customers; return whom it did not. Raises `DeliveryError`, `Fault`."""
        destination = await self._store.reading(lambda txn: self._store.destination(txn, sync.destination_id))
        if destination is None:
            return frozenset()
        target = await self._open_target(destination)
        try:
            if isinstance(target, Snapshot):
                await target.remove(frozenset(removal.customer_id for removal in removals))
                return frozenset()
            assert isinstance(target, Feed)
            return await self._feed(sync, target, removals)
        finally:
            await target.close()

    async def _feed(self, sync: Sync, feed: Feed, removals: Sequence[Removal]) -> frozenset[str]:
        await feed.prepare()
        to_send = list(removals)
        if feed.by_key:  # not whom somebody else is, who stays
            others = await self._store.reading(
                lambda txn: self._store.delivered.held_by_others(txn, sync.sync_id, removals)
            )
            to_send = [removal for removal in removals if removal.customer_id not in others]
        if not to_send:
            return frozenset()
        run_id = await self._store.writing(self._store.new_run_id)  # of its own: no page repeats another
        known = await self._store.reading(lambda txn: self._store.audience(txn, sync.sync_id))
        name = await self._members.name(sync.cohort_id)
        opening = Opening(
            sync.sync_id, run_id, sync.cohort_id, name, Mode.MIRROR, known, removes=len(to_send)
        )
        opening = replace(opening, audience=await feed.open(opening))
        pages = [to_send[first : first + feed.page_size] for first in range(0, len(to_send), feed.page_size)]
        refused: set[str] = set()
        for number, removes in enumerate(pages, 1):
            page = Page(opening, number, len(pages), (), removes, last_removes=number == len(pages))
            refused.update((await feed.send(page)).refused)
        ledger = await self._store.reading(lambda txn: self._store.delivered.ledger(txn, sync.sync_id))
        await feed.finish(opening, ledger.rows - len(to_send))
        return frozenset(refused)

    async def _forget(self, sync: Sync, ids: Sequence[str], kept: frozenset[str]) -> None:
        """Delete what is noted about customers, but for those that are still to be removed."""
        gone = [customer_id for customer_id in ids if customer_id not in kept]

        def forget(txn: Any) -> None:
            sync_id = sync.sync_id
            if self._store.sync(txn, sync_id) is None:
                return
            self._store.delivered.acknowledge(txn, sync_id, (), gone)
            self._store.in_flight.end(txn, sync_id, gone)
            self._store.refusals.forget(txn, sync_id, gone)
            self._store.environment.mark_erased(txn)

        if gone:
            await self._store.writing(forget)
