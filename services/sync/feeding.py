"""How are changes delivered to a feed? Page by page, each noted as soon as it is acknowledged.

What the destination acknowledges, the cached bitmap and the counters of the run move in one transaction, so
that whenever this stops, the next run sends the rest. The next page is made before a page is sent, so that a
page knows whether it is the last; memory holds two pages. Neighbours: `drafting` (what goes into a page).
"""

import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

import msgspec

from services.sync.delivered import Entry
from services.sync.destinations.base import Addition, Feed, Opening, Page, Receipt, Untaken
from services.sync.diff import size
from services.sync.drafting import Draft, Drafts
from services.sync.in_flight import Sent
from services.sync.members import Members, MemberSet
from services.sync.model import Mode, Run, Sync
from services.sync.planning import GROUP, Plan
from services.sync.progress import Progress, RunError
from services.sync.store import Store


class Feeding:
    """One run of `sync` to an opened feed."""

    def __init__(
        self, store: Store, client: Members, sync: Sync, members: MemberSet, plan: Plan, progress: Progress
    ) -> None:
        self._store = store
        self._client = client
        self._sync = sync
        self._members = members
        self._plan = plan
        self._progress = progress
        self.rejected_adds = 0
        """How many of the planned additions were not taken."""

    async def deliver(self, feed: Feed) -> None:
        """Send everything. Raises `RunError`, `MembersError`, `DeliveryError`."""
        replacing = self._sync.mode is Mode.REPLACE and bool(self._members.numbers)
        if self._plan.is_empty and not replacing:
            return
        opening = await self._open(feed)
        if replacing:
            await self._replace(feed, opening)
        else:
            await self._change(feed, opening)

    async def _open(self, feed: Feed) -> Opening:
        sync, members = self._sync, self._members
        known = await self._store.reading(lambda txn: self._store.audience(txn, sync.sync_id))
        mode = sync.mode if members.numbers or sync.mode is not Mode.REPLACE else Mode.MIRROR
        opening = Opening(
            sync.sync_id,
            self._progress.run_id,
            members.cohort_id,
            members.cohort_name,
            mode,
            known,
            size(members.numbers) if mode is Mode.REPLACE else size(self._plan.adds),
            self._plan.removes,
        )
        audience = await feed.open(opening)
        if audience != known:
            await self._store.writing(lambda txn: self._store.put_audience(txn, sync.sync_id, audience))
        return replace(opening, audience=audience)

    def _drafts(self, feed: Feed) -> Drafts:
        return Drafts(self._store, self._client, self._sync, self._members, self._plan, feed)

    # Changes

    async def _change(self, feed: Feed, opening: Opening) -> None:
        drafts = self._drafts(feed)
        pages = drafts.most_pages()
        await self._store.writing(lambda txn: self._progress.update(txn, batches=pages))
        number = 0
        async for draft, following in _looking_ahead(drafts.changes()):
            number += not draft.is_empty
            page = Page(
                opening,
                number,
                max(pages, number + 1) if following else number,
                draft.adds,
                await drafts.to_send(draft.removes),
                last_adds=not (following and following.adds),
                last_removes=not (following and following.removes),
            )
            receipt = await self._send(feed, page, draft.orphans) if page.adds or page.removes else Receipt()
            run = await self._store.writing(partial(self._acknowledge, draft=draft, receipt=receipt))
            if following or draft.is_empty:
                self._progress.check_going(run)
        ledger = await self._store.reading(lambda txn: self._store.delivered.ledger(txn, self._sync.sync_id))
        warnings = await feed.finish(opening, ledger.rows)
        await self._store.writing(partial(self._end, warnings=warnings))

    async def _send(self, feed: Feed, page: Page, orphans: bool) -> Receipt:
        """Send a page, noted as under way; a failure leaves the note unless nothing was taken for certain.

        Of orphans there is a note already, which stays.
        """
        sync_id, in_flight, epoch = self._sync.sync_id, self._store.in_flight, self._members.epoch
        sent = [Sent(epoch, _entry(addition)) for addition in page.adds]
        if not orphans:
            sent += [Sent("", Entry(r.customer_id, "", 0, r.key), removing=True) for r in page.removes]
        await self._store.writing(lambda txn: in_flight.begin(txn, sync_id, sent))
        try:
            return await feed.send(page)
        except Untaken:
            ids = [one.entry.customer_id for one in sent]
            await self._store.writing(lambda txn: in_flight.end(txn, sync_id, ids))
            raise

    def _acknowledge(self, txn: Any, draft: Draft, receipt: Receipt) -> Run:
        refused = receipt.refused
        settled = [
            *(addition.customer_id for addition in draft.adds),
            *(r.customer_id for r in draft.removes),
        ]
        self._store.in_flight.end(txn, self._sync.sync_id, settled)
        added, removed = self._store.delivered.acknowledge(
            txn,
            self._sync.sync_id,
            [_entry(addition) for addition in draft.adds if addition.customer_id not in refused],
            [removal.customer_id for removal in draft.removes if removal.customer_id not in refused],
        )
        rejected = self._reject(txn, draft, receipt)
        if not draft.orphans:
            rejected.update(refused[r.customer_id] for r in draft.removes if r.customer_id in refused)
        run = self._progress.read(txn)
        return self._progress.update(
            txn,
            delivered_adds=run.delivered_adds + added,
            delivered_removes=run.delivered_removes + removed,
            rejected=dict(Counter(run.rejected) + rejected),
        )

    def _reject(self, txn: Any, draft: Draft, receipt: Receipt) -> Counter[str]:
        """Note the additions that were not taken, and count them by reason."""
        refused = [
            (addition, receipt.refused[addition.customer_id])
            for addition in draft.adds
            if addition.customer_id in receipt.refused
        ]
        lasting = [(a, reason) for a, reason in refused if a.customer_id not in receipt.passing]
        self._store.refusals.record(
            txn,
            self._sync.sync_id,
            self._progress.run_id,
            [(a.customer_id, reason, a.key) for a, reason in (*lasting, *draft.standing)],
        )
        left_out = [
            *draft.unmatched,
            *((a.member.entry, reason) for a, reason in (*refused, *draft.standing)),
        ]
        self.rejected_adds += sum(
            entry.number in self._plan.adds.get(entry.shard, ()) for entry, _ in left_out
        )
        return Counter(reason for _, reason in left_out)

    def _end(self, txn: Any, warnings: Sequence[str]) -> None:
        self._store.refusals.sweep(txn, self._sync.sync_id, self._progress.run_id)
        self._progress.update(txn, warnings=tuple(warnings))

    # The full set

    async def _replace(self, feed: Feed, opening: Opening) -> None:
        """Send everybody; what was delivered is noted when the last page is acknowledged, all at once."""
        pages = -(-opening.adds // feed.page_size)
        await self._store.writing(lambda txn: self._progress.update(txn, batches=pages))
        number = held = 0
        with tempfile.TemporaryFile() as taken, tempfile.TemporaryFile() as dropped:
            async for draft, following in _looking_ahead(self._drafts(feed).everybody()):
                number += not draft.is_empty
                total = max(pages, number + 1) if following else number
                page = Page(opening, number, total, draft.adds, (), last_adds=following is None)
                receipt = await feed.send(page) if draft.adds else Receipt()
                run = await self._store.writing(partial(self._note_page, draft=draft, receipt=receipt))
                held += _spool(draft, receipt, taken, dropped)
                if following or draft.is_empty:
                    self._progress.check_going(run)
            if not number:
                raise RunError("no member can be matched, so the audience was left as it was")
            warnings = await feed.finish(opening, held)
            await self._store.writing(partial(self._note_replaced, taken=taken, dropped=dropped))
        await self._store.writing(partial(self._end, warnings=warnings))

    def _note_page(self, txn: Any, draft: Draft, receipt: Receipt) -> Run:
        rejected = self._reject(txn, draft, receipt)
        run = self._progress.read(txn)
        return self._progress.update(txn, rejected=dict(Counter(run.rejected) + rejected))

    def _note_replaced(self, txn: Any, taken: BinaryIO, dropped: BinaryIO) -> None:
        delivered, sync_id = self._store.delivered, self._sync.sync_id
        removed, after = 0, b"" if self._plan.removes else None
        while after is not None:
            removes, after = delivered.find_removed(txn, sync_id, self._plan.gone, after, GROUP)
            ids = [removal.customer_id for removal in removes]
            removed += delivered.acknowledge(txn, sync_id, (), ids)[1]
        taken.seek(0)
        dropped.seek(0)
        entries = (msgspec.json.decode(line, type=Entry) for line in taken)
        gone = (msgspec.json.decode(line, type=str) for line in dropped)
        added, _ = delivered.acknowledge(txn, sync_id, entries, gone)
        self._store.in_flight.drop(txn, sync_id)  # whatever it was, the full set has settled it
        self._progress.update(txn, delivered_adds=added, delivered_removes=removed)


def _entry(addition: Addition) -> Entry:
    return addition.member.entry._replace(key=addition.key)


def _spool(draft: Draft, receipt: Receipt, taken: BinaryIO, dropped: BinaryIO) -> int:
    """Write down, one a line, who was taken with which key, and who was not; return how many were taken."""
    entries = [_entry(addition) for addition in draft.adds if addition.customer_id not in receipt.refused]
    taken.writelines(msgspec.json.encode(entry) + b"\n" for entry in entries)
    left_out = [
        *(entry.customer_id for entry, _ in draft.unmatched),
        *(addition.customer_id for addition, _ in draft.standing),
        *(a.customer_id for a in draft.adds if a.customer_id in receipt.refused),
    ]
    dropped.writelines(msgspec.json.encode(customer_id) + b"\n" for customer_id in left_out)
    return len(entries)


async def _looking_ahead(drafts: AsyncIterator[Draft]) -> AsyncIterator[tuple[Draft, Draft | None]]:
    """Yield each draft with the next one that has something to send, None behind the last of those.

    Drafts with nothing to send are only to be counted, and come as soon as they are made.
    """
    held: Draft | None = None
    async for draft in drafts:
        if draft.is_empty:
            yield draft, held
        elif held is None:
            held = draft
        else:
            yield held, draft
            held = draft
    if held is not None:
        yield held, None
