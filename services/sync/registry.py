"""What may be done with destinations? The rules, each applied inside its caller's transaction.

Guarantees: a name has one destination, and a destination that syncs use stays. Neighbours: `lifecycle`, which
does the same for syncs and runs. Instants are ms and are passed in; failures are `libs.errors`.
"""

from typing import Any

from msgspec.structs import replace

from libs.errors import Missing, Refused, Taken
from services.sync.model import Destination, DestinationId, Settings
from services.sync.store import Store


class Registry:
    """The destinations of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, txn: Any, destination_id: str, field: str = "destinationId") -> Destination:
        """Return a destination. Raises `Missing`."""
        found = self._store.destination(txn, destination_id)
        if found is None:
            raise Missing(
                "DESTINATION_NOT_FOUND",
                f"there is no destination {destination_id[:64]!r}",
                "destination",
                destination_id[:64],
                field,
            )
        return found

    def create(self, txn: Any, name: str, settings: Settings, now: int) -> Destination:
        """Save a new destination. Raises `Taken`."""
        self._check_name(txn, name)
        new_id = DestinationId(self._store.new_id(txn, "dst"))
        destination = Destination(new_id, name, settings, now, now)
        self._store.put_destination(txn, destination)
        return destination

    def update(self, txn: Any, before: Destination, name: str, settings: Settings, now: int) -> Destination:
        """Change a destination. Raises `Taken`."""
        if name != before.name:
            self._check_name(txn, name)
        destination = replace(before, name=name, settings=settings, update_time=now)
        self._store.put_destination(txn, destination)
        return destination

    def delete(self, txn: Any, destination_id: str) -> None:
        """Delete a destination. Raises `Missing`, and `Refused` where syncs use it."""
        destination = self.find(txn, destination_id)
        users = [s.sync_id for _, s in self._store.syncs(txn) if s.destination_id == destination_id]
        if users:
            raise Refused(
                "DESTINATION_IN_USE",
                f"destination {destination.name!r} is used by {len(users)} sync(s), delete them first: "
                f"{', '.join(users[:10])}{', …' if len(users) > 10 else ''}",
                {"sync_ids": ",".join(users[:10])},
            )
        self._store.delete_destination(txn, destination)

    def _check_name(self, txn: Any, name: str) -> None:
        holder = self._store.destination_named(txn, name)
        if holder is not None:
            raise Taken(
                "DESTINATION_NAME_TAKEN",
                f"destination {holder} has the name {name!r} already",
                "destination",
                holder,
            )
