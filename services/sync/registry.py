"""What may be done with destinations? The rules, each applied inside its caller's transaction.

Guarantees: a name has one destination, and a destination that syncs use stays. Neighbours: `lifecycle`, which
does the same for syncs and runs. Instants are ms and are passed in; failures are `libs.errors`.
"""

import os
from typing import Any

from msgspec.structs import replace

from libs.errors import Invalid, Missing, Refused, Taken
from services.sync.destinations.file_places import local_path
from services.sync.model import (
    Destination,
    DestinationId,
    FacebookSettings,
    FileSettings,
    Mode,
    PluginSettings,
    Settings,
    SyncId,
)
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
        """Change a destination.

        Raises `Taken`, and `Refused` where syncs have members at the audience or plug-in it would leave: they
        would be kept by nobody.
        """
        users = self._users(txn, before.destination_id)
        if users and _place(before.settings) != _place(settings):
            raise Refused(
                "DESTINATION_IN_USE",
                f"destination {before.name!r} keeps the members of {len(users)} sync(s) where it is: make another "
                f"destination, or delete them first: {_named(users)}",
                {"sync_ids": ",".join(users[:10])},
            )
        if name != before.name:
            self._check_name(txn, name)
        if users and before.settings != settings:
            self._check_file(txn, settings, users[0])
        destination = replace(before, name=name, settings=settings, update_time=now)
        self._store.put_destination(txn, destination)
        return destination

    def delete(self, txn: Any, destination_id: str) -> None:
        """Delete a destination. Raises `Missing`, and `Refused` where syncs use it."""
        destination = self.find(txn, destination_id)
        users = self._users(txn, destination.destination_id)
        if users:
            raise Refused(
                "DESTINATION_IN_USE",
                f"destination {destination.name!r} is used by {len(users)} sync(s), delete them first: "
                f"{_named(users)}",
                {"sync_ids": ",".join(users[:10])},
            )
        self._store.delete_destination(txn, destination)

    def check_use(self, txn: Any, destination: Destination, mode: Mode, sync_id: SyncId | None) -> None:
        """Check that a sync may use a destination in this way; None stands for a new sync.

        Raises `Invalid` for a mode it cannot do, as far as that is known beforehand, and `Refused` where it is
        one audience or one file, which another sync keeps.
        """
        modes = modes_of(destination.settings)
        if mode not in modes:
            can = " and ".join(sorted(modes))
            raise Invalid("MODE_NOT_SUPPORTED", f"this destination does {can}, not {mode}", "sync.mode")
        others = [user for user in self._users(txn, destination.destination_id) if user != sync_id]
        if isinstance(destination.settings, FacebookSettings) and destination.settings.audience_id and others:
            raise Refused(
                "AUDIENCE_IN_USE",
                f"destination {destination.name!r} is one audience, which sync {others[0]} keeps: a second cohort "
                f"would take people off it. Make a destination without audience_id, or with another one",
                {"sync_ids": others[0]},
            )
        self._check_file(txn, destination.settings, sync_id)

    def _check_file(self, txn: Any, settings: Settings, sync_id: SyncId | None) -> None:
        """Raise `Refused` where a sync that is not this one writes the same file, by whatever destination."""
        if not isinstance(settings, FileSettings):
            return
        for _, sync in self._store.syncs(txn):
            other = self._store.destination(txn, sync.destination_id)
            if other is None or sync.sync_id == sync_id or not isinstance(other.settings, FileSettings):
                continue
            if file_of(other.settings.path) == file_of(settings.path):
                raise Refused(
                    "FILE_IN_USE",
                    f"sync {sync.sync_id} writes this file already (destination {other.name!r}): a second one would "
                    f"put its members in place of those. Make a destination with another path",
                    {"sync_ids": sync.sync_id},
                )

    def _users(self, txn: Any, destination_id: DestinationId) -> list[SyncId]:
        return [sync.sync_id for _, sync in self._store.syncs(txn) if sync.destination_id == destination_id]

    def _check_name(self, txn: Any, name: str) -> None:
        holder = self._store.destination_named(txn, name)
        if holder is not None:
            raise Taken(
                "DESTINATION_NAME_TAKEN",
                f"destination {holder} has the name {name!r} already",
                "destination",
                holder,
            )


def modes_of(settings: Settings) -> frozenset[Mode]:
    """Return what runs may send to such a destination; a plug-in says so itself when it is opened."""
    match settings:
        case FileSettings():
            return frozenset({Mode.MIRROR, Mode.REPLACE})
        case FacebookSettings() | PluginSettings():
            return frozenset(Mode)
        case _:
            return frozenset({Mode.MIRROR, Mode.ADD_ONLY})


def file_of(path: str) -> str:
    """Return the one name that stands for a file, however its path is written."""
    local = local_path(path)
    return path if local is None else os.path.realpath(local)


def _place(settings: Settings) -> object:
    """Return what must stay while members are there; files hold the full set, webhooks go with their URL."""
    match settings:
        case FacebookSettings():
            return settings.ad_account_id, settings.audience_id, settings.graph_url
        case PluginSettings(target):
            return target
        case _:
            return None


def _named(users: list[SyncId]) -> str:
    return f"{', '.join(users[:10])}{', …' if len(users) > 10 else ''}"
