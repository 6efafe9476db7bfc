"""What goes into each page of a run? Drafts: whom to add and remove, and who is left out, with the reason.

Removals come first, so that a run that stops half-way has taken people off. A customer who cannot be matched, or
stands refused as before, is in no page and is told with the reason. Nothing is sent or noted here, so that a
preview makes the same drafts as a run (`preview`, `feeding`). Memory holds the drafts that the caller does.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from msgspec.structs import replace
from pyroaring import BitMap

from services.sync.delivered import Removal
from services.sync.destinations.base import Addition, Feed, Unmatchable
from services.sync.diff import behind, size, slices
from services.sync.members import Member, Members
from services.sync.model import Sync
from services.sync.plans import Draft, LeftOut, Place, Plan
from services.sync.store import Store

Group = tuple[tuple[str, BitMap], ...]


class Drafts:
    """The drafts of one run of `sync`, or of one that might be, to a feed that has been prepared."""

    def __init__(self, store: Store, client: Members, sync: Sync, plan: Plan, feed: Feed) -> None:
        self._store = store
        self._client = client
        self._sync = sync
        self._plan = plan
        self._feed = feed

    def most_pages(self) -> int:
        """Return how many pages there are if everybody can be matched."""
        plan, most = self._plan, self._feed.page_size
        if plan.is_full_set:
            return -(-size(plan.members.numbers) // most)
        apart = -(-len(plan.orphans) // most)
        if plan.updates:
            return apart + -(-plan.removes // most) + -(-size(plan.adds) // most)
        return apart + -(-(size(plan.adds) + plan.removes) // most)

    def all(self, place: Place) -> AsyncIterator[Draft]:
        """Return the drafts of the plan from a place on. They raise `MembersError`."""
        return self._everybody(place) if self._plan.is_full_set else self._changes(place)

    async def _changes(self, place: Place) -> AsyncIterator[Draft]:
        plan, most = self._plan, self._feed.page_size
        for start in range(place.orphans, len(plan.orphans), most):
            place = replace(place, orphans=start + most)
            yield Draft(removes=list(plan.orphans[start : start + most]), orphans=True, behind=place)
        removes: list[Removal] = []
        after = place.removed if plan.removes else None
        while after is not None:
            find = partial(
                self._store.delivered.find_removed,
                sync_id=self._sync.sync_id,
                gone=plan.gone,
                after=after,
                most=most,
            )
            removes, after = await self._store.reading(find)
            place = replace(place, removed=after)
            if removes and (after is not None or plan.updates):  # nobody is in a page twice
                yield Draft(removes=removes, behind=place)
                removes = []
        for group in slices(behind(plan.adds, place.added), most, first=most - len(removes)):
            place = replace(place, added=_last(group))
            yield await self._draft(group, place, removes)
            removes = []
        if removes:
            yield Draft(removes=removes, behind=place)

    async def _everybody(self, place: Place) -> AsyncIterator[Draft]:
        for group in slices(behind(self._plan.members.numbers, place.added), self._feed.page_size):
            yield await self._draft(group, replace(place, added=_last(group)))

    async def _draft(self, group: Group, behind_it: Place, removes: Sequence[Removal] = ()) -> Draft:
        """Name customers, and make the keys they are known by."""
        feed = self._feed
        profiles = True if feed.fields is None else feed.fields
        named = await self._client.resolve(self._plan.members.epoch, group, profiles=profiles)
        keys = await asyncio.to_thread(feed.keys, named)
        draft, matched = Draft(removes=list(removes), behind=behind_it), []
        left_out: dict[tuple[str, str], BitMap] = {}
        for member, key in zip(named, keys, strict=True):
            if isinstance(key, Unmatchable):
                place_of = (key.reason, member.entry.shard)
                left_out.setdefault(place_of, BitMap()).add(member.entry.number)
            else:
                matched.append(Addition(member if feed.sends_profiles else Member(member.entry), key))
        draft.unmatched = [
            LeftOut(reason, shard, numbers.serialize()) for (reason, shard), numbers in left_out.items()
        ]
        by_customer = {addition.customer_id: addition.key for addition in matched}
        standing = await self._store.reading(
            lambda txn: self._store.refusals.known(txn, self._sync.sync_id, by_customer)
        )
        for addition in matched:
            reason = standing.get(addition.customer_id)
            if reason is None:
                draft.adds.append(addition)
            else:
                draft.standing.append((addition, reason))
        return draft

    async def to_send(self, removes: Sequence[Removal]) -> list[Removal]:
        """Return the removals without those of a key that somebody has who stays."""
        if not self._feed.by_key:
            return list(removes)
        held = await self._store.reading(
            lambda txn: self._store.delivered.held_by_others(txn, self._sync.sync_id, removes)
        )
        return [removal for removal in removes if removal.customer_id not in held]


def _last(group: Group) -> tuple[str, int]:
    shard, numbers = group[-1]
    return shard, numbers.max()


async def looking_ahead(drafts: AsyncIterator[Draft]) -> AsyncIterator[tuple[Draft, Draft | None]]:
    """Yield each draft with the next one that has something to send, None behind the last of those.

    A draft with nothing to send that comes while another is held is joined to that one, as it is to be noted
    behind it.
    """
    held: Draft | None = None
    async for draft in drafts:
        if held is None:
            held = draft
        elif draft.is_empty:
            held = _joined(held, draft)
        elif held.is_empty:
            yield held, draft
            held = draft
        else:
            yield held, draft
            held = draft
    if held is not None:
        yield held, None


def _joined(held: Draft, draft: Draft) -> Draft:
    """Return a draft with those that another leaves out beside its own."""
    return Draft(
        held.adds,
        held.removes,
        [*held.unmatched, *draft.unmatched],
        [*held.standing, *draft.standing],
        held.orphans,
        draft.behind,
    )
