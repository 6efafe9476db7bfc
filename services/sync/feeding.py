"""How are changes delivered to a feed? Page by page, each noted as soon as it is acknowledged.

What the destination acknowledges, the cached bitmap, the counters of the run and its place in the plan move in
one transaction. A page is written down before it is sent, so that whenever this stops, the run goes on with the
same page under the same number. The next page is made before a page is sent, so that a page knows whether it is
the last; memory holds two. Neighbours: `drafting` (what goes into a page), `plans`, `in_flight`.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace
from pyroaring import BitMap

from services.sync.delivered import Entry
from services.sync.destinations.base import Addition, Feed, Opening, Page, Receipt, Untaken
from services.sync.diff import intersect, size, subtract, unite
from services.sync.drafting import Drafts, looking_ahead
from services.sync.in_flight import SentPage
from services.sync.members import Members
from services.sync.model import Mode, Run, Sync
from services.sync.plans import Draft, Place, Plan
from services.sync.progress import Progress, RunError
from services.sync.store import Store

DROPPED = 1000
"""Customers dropped from the delivered ones at a time, where a full set has come without them."""


class Feeding:
    """One run of `sync` to a feed that has been prepared: all of it, or what is left of it."""

    def __init__(self, store: Store, client: Members, sync: Sync, plan: Plan, progress: Progress) -> None:
        self._store = store
        self._client = client
        self._sync = sync
        self._plan = plan
        self._progress = progress
        self._place = Place()

    async def deliver(self, feed: Feed) -> int:
        """Send everything, and return how many of the planned additions were not taken.

        Raises `RunError`, `MembersError`, `DeliveryError`.
        """
        if self._plan.is_empty and not self._plan.is_full_set:
            return 0
        sync_id = self._sync.sync_id
        self._place = await self._store.reading(lambda txn: self._store.plans.place(txn, sync_id))
        feed.restore(self._place.state)
        opening = await self._open(feed)
        drafts = Drafts(self._store, self._client, self._sync, self._plan, feed)
        await self._send_again(feed, opening)
        await self._send_rest(feed, opening, drafts)
        await self._finish(feed, opening)
        return self._place.rejected_adds

    async def _open(self, feed: Feed) -> Opening:
        sync, plan = self._sync, self._plan
        known = await self._store.reading(lambda txn: self._store.audience(txn, sync.sync_id))
        opening = Opening(
            sync.sync_id,
            self._progress.run_id,
            plan.members.cohort_id,
            plan.members.cohort_name,
            plan.mode if plan.is_full_set or plan.mode is not Mode.REPLACE else Mode.MIRROR,
            known,
            size(plan.members.numbers) if plan.is_full_set else size(plan.adds),
            plan.removes,
        )
        audience = await feed.open(opening)
        if audience != known:
            await self._store.writing(lambda txn: self._store.put_audience(txn, sync.sync_id, audience))
        return dataclasses.replace(opening, audience=audience)

    async def _send_again(self, feed: Feed, opening: Opening) -> None:
        """Send the page that was under way when the run was cut off, as it was."""
        kept = await self._store.reading(lambda txn: self._store.in_flight.page(txn, self._sync.sync_id))
        if kept is not None:
            await self._deliver(feed, opening, kept, again=True)

    async def _send_rest(self, feed: Feed, opening: Opening, drafts: Drafts) -> None:
        pages = drafts.most_pages()
        await self._store.writing(lambda txn: self._progress.update(txn, batches=pages))
        async for draft, following in looking_ahead(drafts.all(self._place)):
            number = self._place.pages + 1
            removes = await drafts.to_send(draft.removes)
            if draft.adds or removes:
                kept = SentPage(
                    self._plan.members.epoch,
                    number,
                    max(pages, number + 1) if following else number,
                    not (following and following.adds),
                    not (following and following.removes),
                    draft,
                    removes,
                )
                sync_id = self._sync.sync_id
                await self._store.writing(
                    partial(self._store.in_flight.begin_page, sync_id=sync_id, page=kept)
                )
                run = await self._deliver(feed, opening, kept)
            else:
                note = partial(self._acknowledge, draft=draft, kept=None, receipt=Receipt(), feed=feed)
                run = await self._store.writing(note)
            if following or draft.is_empty:
                self._progress.check_going(run)

    async def _deliver(self, feed: Feed, opening: Opening, kept: SentPage, *, again: bool = False) -> Run:
        """Send a page that has been written down, and note the answer.

        One that is sent `again` may have been taken before, whatever is answered now.
        """
        draft = kept.draft
        page = Page(
            opening,
            kept.number,
            kept.pages,
            draft.adds,
            kept.removes,
            last_adds=kept.last_adds,
            last_removes=kept.last_removes,
        )
        try:
            receipt = await feed.send(page)
        except Untaken:
            if not again:
                await self._store.writing(lambda txn: self._store.in_flight.end_page(txn, self._sync.sync_id))
            raise
        note = partial(self._acknowledge, draft=draft, kept=kept, receipt=receipt, feed=feed)
        return await self._store.writing(note)

    # Acknowledgements

    def _acknowledge(
        self, txn: Any, draft: Draft, kept: SentPage | None, receipt: Receipt, feed: Feed
    ) -> Run:
        """Note what became of a draft and of the page made of it, where there was something to send."""
        refused, sync_id = receipt.refused, self._sync.sync_id
        settled = [
            *(addition.customer_id for addition in draft.adds),
            *(r.customer_id for r in draft.removes),
        ]
        self._store.in_flight.end_page(txn, sync_id)
        taken = [_entry(addition) for addition in draft.adds if addition.customer_id not in refused]
        left = [r.customer_id for r in draft.removes if r.customer_id not in refused]
        added = removed = 0
        if self._plan.is_full_set:
            self._store.plans.stage(txn, sync_id, taken)
        else:
            self._store.in_flight.end(txn, sync_id, settled)
            _, removed = self._store.delivered.acknowledge(txn, sync_id, taken, left)
            added = len(taken)
        rejected, rejected_adds = self._reject(txn, draft, receipt, taken)
        if not draft.orphans:
            rejected.update(refused[r.customer_id] for r in draft.removes if r.customer_id in refused)
        self._place = replace(
            draft.behind,
            pages=kept.number if kept else self._place.pages,
            is_last=kept.is_last if kept else self._place.is_last,
            rejected_adds=self._place.rejected_adds + rejected_adds,
            held=self._place.held + len(taken),
            state=feed.state(),
        )
        self._store.plans.move(txn, sync_id, self._place)
        run = self._progress.read(txn)
        return self._progress.update(
            txn,
            delivered_adds=run.delivered_adds + added,
            delivered_removes=run.delivered_removes + removed,
            rejected=dict(Counter(run.rejected) + rejected),
        )

    def _reject(
        self, txn: Any, draft: Draft, receipt: Receipt, taken: Sequence[Entry]
    ) -> tuple[Counter[str], int]:
        """Note the additions that were not taken; return them by reason, and how many of them were planned."""
        refused = [
            (_entry(addition), receipt.refused[addition.customer_id])
            for addition in draft.adds
            if addition.customer_id in receipt.refused
        ]
        passing = [(entry, reason) for entry, reason in refused if entry.customer_id in receipt.passing]
        lasting = [(entry, reason) for entry, reason in refused if entry.customer_id not in receipt.passing]
        lasting += [(_entry(addition), reason) for addition, reason in draft.standing]
        left_out = _by_reason(draft, lasting)
        sync_id, refusals, epoch = self._sync.sync_id, self._store.refusals, self._plan.members.epoch
        refusals.record(txn, sync_id, lasting)
        tried = unite(_numbers(taken), _numbers([entry for entry, _ in passing]))
        for numbers in left_out.values():
            tried = unite(tried, numbers)
        refusals.settle(txn, sync_id, epoch, tried, left_out)
        counts = Counter({reason: size(numbers) for reason, numbers in left_out.items()})
        counts.update(reason for _, reason in passing)
        rejected = subtract(tried, _numbers(taken))
        # Of a full set everybody was planned in the end: see _note_full_set.
        planned = rejected if self._plan.is_full_set else intersect(rejected, self._plan.adds)
        return counts, size(planned)

    async def _finish(self, feed: Feed, opening: Opening) -> None:
        """End the run at the destination, and note what is to be noted at the end."""
        sync_id, pages = self._sync.sync_id, self._place.pages
        if self._plan.is_full_set and not pages:
            raise RunError("no member can be matched, so the audience was left as it was")
        if self._plan.is_full_set and not self._place.is_last:
            raise RunError("the last members of the full set cannot be matched any more; run the sync again")
        held = self._place.held
        if not self._plan.is_full_set:
            ledger = await self._store.reading(lambda txn: self._store.delivered.ledger(txn, sync_id))
            held = ledger.rows
        warnings = await feed.finish(opening, held)

        def end(txn: Any) -> None:
            if self._plan.is_full_set:
                self._note_full_set(txn)
            self._progress.update(txn, warnings=tuple(warnings), batches=pages)

        await self._store.writing(end)

    def _note_full_set(self, txn: Any) -> None:
        """Take those staged for delivered, all at once: it is now that they took the place of what was there.

        Members delivered before whom the full set left out were planned as neither: they count as removed, and as
        additions that were not taken. Figures are added to, as a run that is cut off behind this comes here again.
        """
        delivered, plans, sync_id = self._store.delivered, self._store.plans, self._sync.sync_id
        removed, after = 0, b"" if self._plan.removes else None
        while after is not None:
            removes, after = delivered.find_removed(txn, sync_id, self._plan.gone, after, DROPPED)
            removed += delivered.acknowledge(txn, sync_id, (), [one.customer_id for one in removes])[1]
        lost = 0
        last: str | None = ""
        while last is not None:
            last, dropped = self._left_behind(txn, last)
            lost += delivered.acknowledge(txn, sync_id, (), dropped)[1]
        added, _ = delivered.acknowledge(txn, sync_id, plans.staged(txn, sync_id), ())
        self._store.in_flight.drop(txn, sync_id)  # whatever it was, the full set has settled it
        run = self._progress.read(txn)
        self._progress.update(
            txn,
            planned_adds=run.planned_adds + lost,
            planned_removes=run.planned_removes + lost,
            delivered_adds=run.delivered_adds + added,
            delivered_removes=run.delivered_removes + removed + lost,
        )

    def _left_behind(self, txn: Any, after: str) -> tuple[str | None, list[str]]:
        """Return some delivered customers behind one who are not in the full set, and the last looked at."""
        dropped: list[str] = []
        for customer_id in self._store.delivered.rows(txn, self._sync.sync_id, after):
            if not self._store.plans.is_staged(txn, self._sync.sync_id, customer_id):
                dropped.append(customer_id)
                if len(dropped) == DROPPED:
                    return customer_id, dropped
        return None, dropped


def _entry(addition: Addition) -> Entry:
    return addition.member.entry._replace(key=addition.key)


def _numbers(entries: Iterable[Entry]) -> dict[str, BitMap]:
    numbers: dict[str, list[int]] = {}
    for entry in entries:
        numbers.setdefault(entry.shard, []).append(entry.number)
    return {shard: BitMap(some) for shard, some in numbers.items()}


def _by_reason(draft: Draft, lasting: Sequence[tuple[Entry, str]]) -> dict[str, dict[str, BitMap]]:
    """Return the numbers of those who are left out until something changes."""
    found: dict[str, dict[str, BitMap]] = {}
    for left_out in draft.unmatched:
        numbers = {left_out.shard: BitMap.deserialize(left_out.numbers)}
        found[left_out.reason] = unite(found.get(left_out.reason, {}), numbers)
    for entry, reason in lasting:
        found.setdefault(reason, {}).setdefault(entry.shard, BitMap()).add(entry.number)
    return found
