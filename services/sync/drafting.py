"""What goes into each page of a run? Drafts: whom to add and remove, and who is left out, with the reason.

Removals come first, so that a run that stops half-way has taken people off. A customer who cannot be matched, or
stands refused as before, is in no page and is told with the reason. Nothing is sent or noted here, so that a
preview makes the same drafts as a run (`preview`, `feeding`). Memory holds the drafts that the caller does.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from pyroaring import BitMap

from services.sync.delivered import Entry, Removal
from services.sync.destinations.base import Addition, Feed, Unmatchable
from services.sync.diff import size, slices
from services.sync.members import Members, MemberSet
from services.sync.model import Sync
from services.sync.planning import Plan
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


class Drafts:
    """The drafts of one run of `sync`, or of one that might be, to a feed that has been prepared."""

    def __init__(
        self, store: Store, client: Members, sync: Sync, members: MemberSet, plan: Plan, feed: Feed
    ) -> None:
        self._store = store
        self._client = client
        self._sync = sync
        self._members = members
        self._plan = plan
        self._feed = feed

    def most_pages(self) -> int:
        """Return how many pages there are if everybody can be matched."""
        changes, most = size(self._plan.adds) + self._plan.removes, self._feed.page_size
        return -(-changes // most) + -(-len(self._plan.orphans) // most)

    async def changes(self) -> AsyncIterator[Draft]:
        """Yield the drafts of all changes. Raises `MembersError`."""
        plan, most = self._plan, self._feed.page_size
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
            yield await self._draft(group, removes)
            removes = []
        if removes:
            yield Draft(removes=removes)

    async def everybody(self) -> AsyncIterator[Draft]:
        """Yield the drafts of the full set. Raises `MembersError`."""
        for group in slices(self._members.numbers, self._feed.page_size):
            yield await self._draft(group)

    async def _draft(self, group: tuple[tuple[str, BitMap], ...], removes: Sequence[Removal] = ()) -> Draft:
        """Name customers, and make the keys they are known by."""
        feed = self._feed
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

    async def to_send(self, removes: Sequence[Removal]) -> list[Removal]:
        """Return the removals without those of a key that somebody has who stays."""
        if not self._feed.by_key:
            return list(removes)
        held = await self._store.reading(
            lambda txn: self._store.delivered.held_by_others(txn, self._sync.sync_id, removes)
        )
        return [removal for removal in removes if removal.customer_id not in held]
