"""What is the sync service made of? Opens its parts and puts them together, for whoever serves it."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry

from libs.clock import Clock, system_clock
from libs.rpc.client import Credentials, nobody
from libs.rpc.tls import ClientTls
from libs.storage.master_key import Masters
from libs.storage.projects import DEFAULT, root_of
from libs.zones import ZoneInfo
from services.sync.confine import Places, confined
from services.sync.destinations.addresses import Hosts, Lookup, system_lookup
from services.sync.destinations.facebook.account import Accounts
from services.sync.destinations.opener import Opener
from services.sync.destinations.retrying import Patience
from services.sync.erasing import EVERY_SECONDS, Erasing
from services.sync.erasures import Erasures
from services.sync.lifecycle import Lifecycle
from services.sync.measures import Measures
from services.sync.members import Members
from services.sync.registry import Registry
from services.sync.runner import Runner
from services.sync.servicer import Parts, SyncServicer
from services.sync.store import Store

UTC = ZoneInfo("UTC")


class SyncApp:
    """The sync service. Serve `servicer`, then `start`; at the end `drain`, take the port down, `close`.

    Nothing falls due before `start`, and the cohort service need not be there before that.
    """

    def __init__(
        self,
        store: Store,
        members: Members,
        runner: Runner,
        servicer: SyncServicer,
        measures: Measures,
        erasing: Erasing | None = None,
    ) -> None:
        self.servicer = servicer
        self._erasing = erasing
        self._measures = measures
        self._store = store
        self._members = members
        self._runner = runner

    @classmethod
    async def open(
        cls,
        data_dir: Path,
        cohort_target: str,
        credentials: Credentials | None = None,
        *,
        project_id: str = DEFAULT,
        zone: Callable[[], ZoneInfo] = lambda: UTC,
        clock: Clock = system_clock,
        allow_loopback: bool = False,
        destination_hosts: Iterable[str] = (),
        patience: Patience | None = None,
        lookup: Lookup = system_lookup,
        masters: Masters | None = None,
        shown_in: CollectorRegistry | None = None,
        ingest_target: str = "",
        erasing_every: float = EVERY_SECONDS,
        places: Places | None = None,
        tls: ClientTls | None = None,
    ) -> "SyncApp":
        """Open the syncs of a project. Members come from the cohort service at HOST:PORT.

        `credentials` are sent with each call; `zone` is that of schedules that name none.
        `tls` encrypts the way to the other services.
        `places` says where files may lie.
        `allow_loopback` lets destinations be on this machine, `destination_hosts` names HOST:PORT of others
        and `lookup` looks their names up;
        `patience` says how long they are borne with; what Prometheus is shown goes into `shown_in`.
        Erasures come from the ingest service at `ingest_target`, HOST:PORT, every so many seconds; from nowhere
        where it is empty.
        `masters` tells the master key of secrets at rest; None: the one kept in `data_dir`.
        Puts right what the last stop cut off. Raises `libs.storage.failures.StorageError`.
        """
        store = Store(root_of(data_dir, project_id), masters or Masters(data_dir))
        members = Members(cohort_target, credentials or nobody, tls)
        registry = Registry(store)
        lifecycle = Lifecycle(store, registry, zone)
        hosts = Hosts(allow_loopback, frozenset(destination_hosts), lookup)
        confine = confined(project_id, places or Places())
        opener = Opener(clock, Accounts(clock), hosts, patience or Patience(), confine)
        with store.read() as txn:
            destinations = [destination for _, destination in store.destinations(txn, b"")]
        await asyncio.to_thread(opener.clean, destinations)
        measures = Measures(store, shown_in)
        runner = Runner(store, lifecycle, members, opener.open, clock, measures)
        await runner.recover()
        parts = Parts(
            store,
            registry,
            lifecycle,
            runner,
            members,
            opener,
            clock,
            data_dir,
        )
        erasing = None
        if ingest_target:
            erasures = Erasures(ingest_target, credentials or nobody, tls)
            erasing = Erasing(store, runner, erasures, members, opener.open, erasing_every)
        return cls(store, members, runner, SyncServicer(parts), measures, erasing)

    async def start(self) -> None:
        """Run what is due and what falls due."""
        await self._runner.start()
        if self._erasing:
            self._erasing.start()

    async def drain(self) -> None:
        """Begin no more runs, and let those under way end their batch."""
        if self._erasing:
            await self._erasing.stop()
        await self._runner.stop()

    async def close(self) -> None:
        """Close what is open. No call may be under way."""
        self._measures.close()
        if self._erasing:
            await self._erasing.close()
        await self._members.close()
        await self._store.close()
