"""How are changes delivered to a feed? Page by page, each noted as soon as it is acknowledged.

What the destination acknowledges, the cached bitmap and the counters of the run move in one transaction, so
that whenever this stops, the next run sends the rest. The next page is made before a page is sent, so that a
page knows whether it is the last; memory holds two pages. A customer who cannot be matched, or stands refused
as before, is in no page and is counted with the reason.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, BinaryIO

import msgspec
from pyroaring import BitMap

from services.sync.delivered import Entry, Removal
from services.sync.destinations.base import Addition, Feed, Opening, Page, Receipt, Unmatchable, Untaken
from services.sync.diff import size, slices
from services.sync.in_flight import Sent
from services.sync.members import Members, MemberSet
from services.sync.model import Mode, Run, Sync
from services.sync.planning import GROUP, Plan
from services.sync.progress import Progress, RunError
from services.sync.store import Store


@dataclass(slots=True)
class Draft:
    """What a page is made of: whom to add and remove, and who is left out, with the reason."""

    adds: list[Addition] = field(default_factory=list)
    removes: list[Removal] = field(default_factory=list)
    unmatched: list[tuple[Entry, str]] = field(default_factory=list)
    standing: list[tuple[Addition, str]] = field(default_factory=list)
    orphans: bool = False
    """Whether its removals are of people who were never noted as delivered, and so are in no figure."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""
        return not self.adds and not self.removes


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
        if sync.mode not in feed.modes:
            raise RunError(
                f"the destination cannot do {sync.mode}, only {', '.join(sorted(feed.modes))}: "
                "change the mode of the sync"
            )
        return replace(opening, audience=audience)

    # Changes

    async def _change(self, feed: Feed, opening: Opening) -> None:
        pages = -(-(opening.adds + opening.removes) // feed.page_size)
        pages += -(-len(self._plan.orphans) // feed.page_size)
        await self._store.writing(lambda txn: self._progress.update(txn, batches=pages))
        number = 0
        async for draft, following in _looking_ahead(self._drafts(feed)):
            number += not draft.is_empty
            page = Page(
                opening,
                number,
                max(pages, number + 1) if following else number,
                draft.adds,
                await self._to_send(draft.removes),
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

    async def _drafts(self, feed: Feed) -> AsyncIterator[Draft]:
        """Yield drafts, removes first: a run that stops half-way has taken people off."""
        plan, most = self._plan, feed.page_size
        for start in range(0, len(plan.orphans), most):
            yield Draft(removes=list(plan.orphans[start : start + most]), orphans=True)
        removes: list[Removal] = []
        after: bytes | None = b"" if plan.removes else None
        while after is not None:
            find = partial(
                self._store.delivered.find_removed,
                sync_id=self._sync.sync_id,
                gone=plan.gone,
                after=after,
                most=most,
            )
            removes, after = await self._store.reading(find)
            if after is not None:
                yield Draft(removes=removes)
        for group in slices(plan.adds, most, first=most - len(removes)):
            yield await self._draft(feed, group, removes)
            removes = []
        if removes:
            yield Draft(removes=removes)

    async def _draft(
        self, feed: Feed, group: tuple[tuple[str, BitMap], ...], removes: Sequence[Removal] = ()
    ) -> Draft:
        """Name customers, and make the keys they are known by."""
        profiles = True if feed.fields is None else feed.fields
        named = await self._client.resolve(self._members.epoch, group, profiles=profiles)
        keys = await asyncio.to_thread(feed.keys, named)
        draft, matched = Draft(removes=list(removes)), []
        for member, key in zip(named, keys, strict=True):
            if isinstance(key, Unmatchable):
                draft.unmatched.append((member.entry, key.reason))
            else:
                matched.append(Addition(member, key))
        by_customer = {addition.customer_id: addition.key for addition in matched}
        standing = await self._store.reading(
            lambda txn: self._store.refusals.standing(txn, self._sync.sync_id, by_customer)
        )
        for addition in matched:
            reason = standing.get(addition.customer_id)
            if reason is None:
                draft.adds.append(addition)
            else:
                draft.standing.append((addition, reason))
        return draft

    async def _to_send(self, removes: Sequence[Removal]) -> list[Removal]:
        """Return the removals without those of a key that somebody has who stays."""
        held = await self._store.reading(
            lambda txn: self._store.delivered.held_by_others(txn, self._sync.sync_id, removes)
        )
        return [removal for removal in removes if removal.customer_id not in held]

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
            async for draft, following in _looking_ahead(self._everybody(feed)):
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

    async def _everybody(self, feed: Feed) -> AsyncIterator[Draft]:
        for group in slices(self._members.numbers, feed.page_size):
            yield await self._draft(feed, group)

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
