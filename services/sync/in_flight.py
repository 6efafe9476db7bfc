"""What was sent and not acknowledged? So that a lost answer neither keeps anybody at a destination nor off it.

The page under way is kept whole: a run that is cut off sends it again as it was, under the same ids. It is dropped
in the transaction that notes what became of it. Where its run ends without knowing that (a time-out, retries used
up, cancelled while the service was down), one row is kept for every customer of it, who may have been added or
removed or not. Additions: the next run adds again who is still a member, and takes off who is not. Removals: who
has become a member again meanwhile is added again. Records are sealed: a page shows profiles.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from libs.storage.cover import covering
from libs.storage.environment import Environment, scan
from libs.storage.vault import Vault
from services.sync.delivered import Entry, Removal
from services.sync.model import SyncId
from services.sync.plans import Draft

CUSTOMERS, PAGES = TABLES = ("in_flight", "pages")


class Sent(NamedTuple):
    """A customer to be added, with the number it has in an epoch; or one to be removed, known by its row."""

    epoch: str
    entry: Entry
    removing: bool = False


class SentPage(msgspec.Struct, frozen=True):
    """A page as it is sent: what it was drafted from, and which of the removals are in it.

    `number`, `pages`, `last_adds` and `last_removes` are those of `destinations.base.Page`.
    """

    epoch: str
    number: int
    pages: int
    last_adds: bool
    last_removes: bool
    draft: Draft
    removes: list[Removal]

    @property
    def is_last(self) -> bool:
        """Whether it says that nothing comes behind it."""
        return self.last_adds and self.last_removes


class InFlight:
    """What is under way of every sync in one environment, sealed by a vault."""

    def __init__(self, environment: Environment, vault: Vault) -> None:
        self._environment = environment
        self._customers_cover, self._pages_cover = covering(vault, CUSTOMERS), covering(vault, PAGES)

    @property
    def _table(self) -> Any:
        return self._environment[CUSTOMERS]

    @property
    def _pages(self) -> Any:
        return self._environment[PAGES]

    # The page under way

    def begin_page(self, txn: Any, sync_id: SyncId, page: SentPage) -> None:
        """Note that a page is about to be sent."""
        key = sync_id.encode()
        txn.put(key, self._pages_cover.seal(msgspec.msgpack.encode(page), key), db=self._pages)

    def page(self, txn: Any, sync_id: SyncId) -> SentPage | None:
        """Return the page that was under way when the run was cut off, None where there was none."""
        key = sync_id.encode()
        found = txn.get(key, db=self._pages)
        return msgspec.msgpack.decode(self._pages_cover.open(found, key), type=SentPage) if found else None

    def end_page(self, txn: Any, sync_id: SyncId) -> None:
        """Note that it is known what became of the page."""
        txn.delete(sync_id.encode(), db=self._pages)

    def give_up(self, txn: Any, sync_id: SyncId) -> None:
        """Note that its run has ended and nobody knows what became of the page. Of orphans there are notes."""
        page = self.page(txn, sync_id)
        if page is None:
            return
        self.end_page(txn, sync_id)
        adds = [one.member.entry._replace(key=one.key) for one in page.draft.adds]
        self.begin(txn, sync_id, [Sent(page.epoch, entry) for entry in adds])
        if not page.draft.orphans:
            rows = [Entry(removal.customer_id, "", 0, removal.key) for removal in page.removes]
            self.begin(txn, sync_id, [Sent("", row, removing=True) for row in rows])

    # Customers

    def begin(self, txn: Any, sync_id: SyncId, customers: Iterable[Sent]) -> None:
        """Note that nobody knows what became of these."""
        for sent in customers:
            key = sync_id.encode() + sent.entry.customer_id.encode()
            txn.put(key, self._customers_cover.seal(msgspec.msgpack.encode(sent), key), db=self._table)

    def end(self, txn: Any, sync_id: SyncId, customer_ids: Iterable[str]) -> None:
        """Note that it is known what became of these."""
        for customer_id in customer_ids:
            txn.delete(sync_id.encode() + customer_id.encode(), db=self._table)

    def left(self, txn: Any, sync_id: SyncId) -> list[Sent]:
        """Return what was left behind: a page or two."""
        found, prefix = [], sync_id.encode()
        for key, value in scan(txn, self._table, prefix):
            if not key.startswith(prefix):
                break
            found.append(msgspec.msgpack.decode(self._customers_cover.open(value, key), type=Sent))
        return found

    def drop(self, txn: Any, sync_id: SyncId) -> None:
        """Forget everything of a sync."""
        self.end_page(txn, sync_id)
        self.end(txn, sync_id, [sent.entry.customer_id for sent in self.left(txn, sync_id)])
