"""What was sent and not acknowledged? So that a lost answer neither keeps anybody at a destination nor off it.

One row for every customer of a page, written before the page is sent and dropped in the transaction that notes
what became of it. What a run leaves behind (a kill, a time-out, retries used up) may have been done or not.
Additions: the next run adds again who is still a member, and takes off who is not. Removals: who has become a
member again meanwhile is added again.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from libs.storage.environment import Environment, scan
from services.sync.delivered import Entry
from services.sync.model import SyncId

TABLES = ("in_flight",)


class Sent(NamedTuple):
    """A customer to be added, with the number it has in an epoch; or one to be removed, known by its row."""

    epoch: str
    entry: Entry
    removing: bool = False


class InFlight:
    """The customers under way of every sync in one environment."""

    def __init__(self, environment: Environment) -> None:
        self._table = environment["in_flight"]

    def begin(self, txn: Any, sync_id: SyncId, customers: Iterable[Sent]) -> None:
        """Note that these are about to be sent."""
        for sent in customers:
            key = sync_id.encode() + sent.entry.customer_id.encode()
            txn.put(key, msgspec.msgpack.encode(sent), db=self._table)

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
            found.append(msgspec.msgpack.decode(value, type=Sent))
        return found

    def drop(self, txn: Any, sync_id: SyncId) -> None:
        """Forget everything of a sync."""
        self.end(txn, sync_id, [sent.entry.customer_id for sent in self.left(txn, sync_id)])
