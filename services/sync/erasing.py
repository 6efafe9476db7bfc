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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import UnionType
from typing import Any

import structlog

from libs.errors import Fault, frames
from libs.storage.trees import WipeError
from services.sync.delivered import Removal
from services.sync.destinations.base import (
    REFUSED,
    DeliveryError,
    Exhausted,
    Feed,
    Opening,
    Page,
    Passing,
    Snapshot,
    Target,
)
from services.sync.erasures import Erasure, Erasures, ErasuresError, Wait
from services.sync.members import Members, MembersError
from services.sync.model import Destination, Mode, Sync
from services.sync.runner import Runner
from services.sync.store import Store

EVERY_SECONDS = 5.0
"""How often the list is read: one call that answers from one table."""
PATIENCE_SECONDS = 120.0
"""How long one destination may take in one round; an erasure is confirmed when all are through."""
AT_ONCE = 8
"""Destinations that are worked on at a time, so that one that does not answer holds up no other."""
SOON_SECONDS = 2.0
"""When it is said what is waited for, though some are at work still."""
AT_WORK = "IN_PROGRESS"
REASON_BYTES = 64
"""The longest reason that the ingest service takes."""

log = structlog.get_logger()

WHY: tuple[tuple[type[Exception] | UnionType, str], ...] = (
    (ErasuresError, "INGEST_SERVICE"),
    (MembersError, "COHORT_SERVICE"),
    (WipeError, "STORAGE_BUSY"),
    (TimeoutError, "TIMED_OUT"),
    (Exhausted | Passing, "UNREACHABLE"),
    (DeliveryError, REFUSED),
)
"""What an erasure waits for where something failed, by what failed, for what has no reason of its own."""


def _reason(error: Exception) -> str:
    own: str = getattr(error, "reason", "")
    return own.encode()[:REASON_BYTES].decode(errors="ignore") or next(
        (why for kind, why in WHY if isinstance(error, kind)), "FAILED"
    )


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
        self._places = asyncio.Semaphore(AT_ONCE)
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
                    log.warning("erasures wait", reason=_reason(error))
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
        syncs = await self._store.reading(lambda txn: [each for _, each in self._store.syncs(txn)])
        leaving = {asyncio.create_task(self._leave(sync, ids)): sync for sync in syncs}
        if leaving:
            _, at_work = await asyncio.wait(leaving, timeout=SOON_SECONDS)
            if at_work:
                await self._say(page, await self._waits(leaving, ids))
                await asyncio.wait(leaving)
        waiting = await self._waits(leaving, ids)
        done = [erasure for erasure in page if erasure.customer_id not in waiting]
        try:
            await self._confirm(done)
        except (MembersError, WipeError) as error:
            waiting |= {erasure.customer_id: [Wait(_reason(error))] for erasure in done}
            raise
        finally:
            await self._say(page, waiting)
        return len(done)

    async def _waits(
        self, leaving: Mapping[asyncio.Task[dict[str, str]], Sync], ids: Sequence[str]
    ) -> dict[str, list[Wait]]:
        """Return what customers wait for: those whom destinations keep, and all where one is at work still."""
        waiting: dict[str, list[Wait]] = {}
        for task, sync in leaving.items():
            left = task.result() if task.done() else dict.fromkeys(ids, AT_WORK)
            name = await self._name(sync.destination_id) if left else ""
            for customer_id, reason in left.items():
                wait = Wait(reason, sync.sync_id, sync.destination_id, name)
                waiting.setdefault(customer_id, []).append(wait)
        return waiting

    async def _say(self, page: Sequence[Erasure], waiting: Mapping[str, list[Wait]]) -> None:
        said = [(one.erasure_id, waiting[one.customer_id]) for one in page if one.customer_id in waiting]
        if said:
            await self._erasures.report(said)

    async def _confirm(self, done: Sequence[Erasure]) -> None:
        if not done:
            return
        await self._members.reach(done[-1].revision)
        await self._store.wipe()
        for erasure in done:
            await self._erasures.confirm(erasure.erasure_id)
        log.info("erasures confirmed", count=len(done))

    async def _name(self, destination_id: str) -> str:
        found = await self._store.reading(lambda txn: self._store.destination(txn, destination_id))
        return found.name if found else ""

    async def _leave(self, sync: Sync, ids: Sequence[str]) -> dict[str, str]:
        """Take customers off the destination of a sync; return who may still be there, and why."""
        async with self._places, self._runner.pausing(sync.sync_id) as idle:
            if not idle or self._stopping.is_set():
                return dict.fromkeys(ids, "RUN_UNDER_WAY")
            removals = await self._store.reading(lambda txn: self._held(txn, sync, ids))
            if not removals:
                await self._forget(sync, ids, frozenset())
                return {}
            why = REFUSED
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    refused = await self._remove(sync, removals)
            except (DeliveryError, MembersError, Fault, TimeoutError) as error:
                why = _reason(error)
                # What it says may name a place, and is in no record: `cohort destinations test` says it.
                log.warning(
                    "a destination keeps erased customers",
                    sync_id=sync.sync_id,
                    error=type(error).__name__,
                    reason=getattr(error, "logged", why),
                )
                refused = frozenset(removal.customer_id for removal in removals)
            except Exception as error:  # what we did not foresee at one destination holds up no other
                why = _reason(error)
                log.error(
                    "erasing failed", sync_id=sync.sync_id, error=type(error).__name__, where=frames(error)
                )
                refused = frozenset(removal.customer_id for removal in removals)
            await self._forget(sync, ids, refused)
            return dict.fromkeys(refused, why)

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
