"""What is a serving process made of? Projects, keys, a server, and what each project has open.

The composition root: the one place that knows all three services. Neighbour: `compose`, which says which process
is composed of what.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from google.protobuf.descriptor import ServiceDescriptor
from prometheus_client import CollectorRegistry

from libs.cli.opened import Opened
from libs.cli.readiness import Readiness, caught_up, writable
from libs.clock import Clock, system_clock
from libs.engine import Engine
from libs.errors import Refused
from libs.events.log import EventLog
from libs.gen.cohort.v1 import admin_pb2, cohort_pb2, ingest_pb2, sync_pb2
from libs.index.calendar import Calendar
from libs.metrics import ByProject, EngineCollector, Exposition, new_registry
from libs.rpc.access import PROJECT_METADATA, Keys
from libs.rpc.client import Metadata, bearer
from libs.rpc.limits import DEFAULT_LIMITS, Limits
from libs.rpc.metrics import Calls
from libs.rpc.server import Server, stop_signal
from libs.rpc.tls import ClientTls, ServerTls
from libs.storage.directory import Directory, ensure_default
from libs.storage.failures import Absent
from libs.storage.key_use import KeyUse
from libs.storage.master_key import MasterKey, Masters
from libs.storage.projects import DEFAULT, Project, Quota, log_folder, root_of
from libs.storage.writer_lock import WriterLock
from libs.zones import ZoneInfo
from services.cohort.servicer import CohortServicer
from services.cohort.store import CohortStore
from services.ingest.admin import AdminServicer
from services.ingest.servicer import IngestServicer
from services.sync.app import SyncApp
from services.sync.confine import Places
from services.sync.servicer import SyncServicer

INGEST = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"]
ADMIN = admin_pb2.DESCRIPTOR.services_by_name["AdminService"]
COHORT = cohort_pb2.DESCRIPTOR.services_by_name["CohortService"]
SYNC = sync_pb2.DESCRIPTOR.services_by_name["SyncService"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `listen` is HOST:PORT, `api_key` the operator's.

    With `insecure` no key is asked for, and destinations may be on this machine.
    """

    data_dir: Path
    listen: str
    api_key: str | None = None
    insecure: bool = False
    time_zone: str | None = None
    cohort_target: str = ""
    destination_hosts: tuple[str, ...] = ()
    places: Places = field(default_factory=Places)
    metrics: tuple[str, int] | None = None
    """Host and port on which Prometheus may read metrics; None: nowhere."""
    master: MasterKey | None = None
    """The key of what is sealed at rest; None: the one kept in the data directory, made where there is none."""
    encrypt_profiles: bool = False
    """Whether to seal the profiles of projects whose are not."""
    limits: Limits = DEFAULT_LIMITS
    call_level: str = "debug"
    """The level of the line that each call gets in the log."""
    tls: ServerTls | None = None
    client_tls: ClientTls | None = None
    """How a sync service reaches the others."""
    ingest_target: str = ""
    """Where sync reads the list of erasures; empty: nowhere."""
    compact_every: float = 3600.0
    """Seconds between compactions, of what is left of erased customers; 0: only on demand."""
    dedupe_window: int | None = None
    """How long (ms) the first project is to remember an event's id; None: as before."""


@dataclass(frozen=True, slots=True)
class Data:
    """What a process has open of a project's data: the engine, and what serves it, by class."""

    engine: Engine
    servicers: dict[type, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Streaming:
    """Ends the streams of every project."""

    data: Opened[Data]

    def end_streams(self) -> None:
        """End them, and those that are still begun."""
        for data in self.data.all():
            if CohortServicer in data.servicers:
                data.servicers[CohortServicer].end_streams()


class Process:
    """One serving process: resources open in order and close in reverse, after the calls have drained.

    `open_directory` or `open_to_write` comes first.
    """

    directory: Directory
    use: KeyUse
    server: Server
    readiness: Readiness
    data: Opened[Data]
    apps: Opened[SyncApp] | None = None
    started = False
    own = ""

    def __init__(self, options: Options, clock: Clock = system_clock) -> None:
        self.options = options
        self.clock = clock
        self.registry = new_registry()
        self.calls = Calls(self.registry)
        self.engines = EngineCollector()
        self.registry.register(self.engines)
        self.projects_shown = ByProject()
        self.registry.register(self.projects_shown)
        self.background: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.stack = AsyncExitStack()
        self.stopping = stop_signal()  # at once: a signal while resources open must end in order too
        self.host = options.listen.rpartition(":")[0]

    @property
    def own_host(self) -> str:
        """The host under which this process reaches itself."""
        everywhere = "0.0.0.0"  # nosec B104 # compared, not bound
        return {everywhere: "127.0.0.1", "[::]": "[::1]"}.get(self.host, self.host)

    def open_own(self) -> None:
        """Have a socket, in a folder of this user alone, by which a process reaches itself without TLS."""
        folder = tempfile.mkdtemp(prefix="cohort-")
        self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self.own = f"unix:{folder}/own"

    def open_directory(self, service: str, *, writable: bool = False) -> None:
        """Open projects and keys, and make the server that they open."""
        options = self.options
        self.directory = Directory(options.data_dir, writable=writable)
        self.stack.callback(self.directory.close)
        self.use = KeyUse(options.data_dir, service)
        keys = Keys(
            self.directory, options.api_key, insecure=options.insecure, use=self.use, clock=self.clock
        )
        self.server = Server(
            options.listen,
            keys,
            self.calls,
            limits=options.limits,
            call_level=options.call_level,
            tls=options.tls,
            own=self.own,
        )
        self.readiness = Readiness(self.server, self.registry)

    async def add_data(self, *, ingest: bool = False, cohort: bool = False) -> None:
        """Serve IngestService and AdminService, or CohortService, or all, over one engine a project.

        The first project is opened now; raises what that raises.
        """
        project = self.directory.contents().projects.get(DEFAULT)
        if project is None:
            raise Absent(f"{self.options.data_dir} holds no project yet")
        self.data = Opened(self.directory, partial(self._open_data, ingest=ingest, cohort=cohort))
        first = await self.data.open(project)
        kinds: dict[ServiceDescriptor, type] = {}
        if ingest:
            self.background.append(self.data.keep_all)
            kinds |= {INGEST: IngestServicer, ADMIN: AdminServicer}
            self.readiness.require(INGEST.full_name, writable(first.engine))
            self.readiness.require(INGEST.full_name, caught_up(first.engine))
        if cohort:
            kinds[COHORT] = CohortServicer
            self.readiness.require(COHORT.full_name, caught_up(first.engine))
        for service, kind in kinds.items():
            self.server.add_projects(service, kind, partial(self._data_servicer, kind), Streaming(self.data))

    async def _data_servicer(self, kind: type, project_id: str) -> object:
        return (await self.data.get(project_id)).servicers[kind]

    async def _open_data(self, project: Project, *, ingest: bool, cohort: bool) -> Data:
        """Open a project's log and the index over it, catch up, and make what serves them."""
        engine = await asyncio.to_thread(self._engine, project, writable=ingest)
        self.engines.add(project.project_id, engine)
        self.stack.callback(engine.close)
        self.stack.callback(self.engines.remove, project.project_id)
        data = Data(engine)
        if ingest:
            data.servicers[IngestServicer] = IngestServicer(
                engine, self.clock, partial(self._quota, project.project_id)
            )
            data.servicers[AdminServicer] = AdminServicer(
                engine,
                self.directory,
                self.use,
                self.clock,
                calls=self.calls.summaries,
                services=partial(self._services, project.project_id, engine),
                opened=self._made,
                log_bytes=self._log_bytes,
            )
        if cohort:
            home = self.options.data_dir
            store = CohortStore(root_of(home, project.project_id) / "cohort", home)
            self.stack.callback(store.close)
            data.servicers[CohortServicer] = CohortServicer(engine, store, self.clock)
        return data

    def _engine(self, project: Project, *, writable: bool) -> Engine:
        options = self.options
        log = EventLog(
            log_folder(options.data_dir, project.project_id),
            readonly=not writable,
            masters=Masters(options.data_dir, options.master),
            encrypt=writable and options.encrypt_profiles,
            home=options.data_dir,
            map_bytes=options.limits.log_map_mib << 20 if writable else None,
        )
        try:
            engine = Engine(
                log,
                Calendar(project.zone),
                self.clock,
                writable=writable,
                dedupe_window=project.dedupe_window,
                compact_every=options.compact_every,
                writing_bytes=options.limits.writing_mib << 20,
                most_names=options.limits.names,
            )
        except BaseException:
            log.close()
            raise
        engine.snapshot()
        return engine

    def _quota(self, project_id: str) -> Quota:
        """Return what a project may take, as it is now."""
        return self.directory.contents().projects[project_id].quota

    def _services(self, project_id: str, engine: Engine) -> dict[str, str]:
        """Return why services do not serve; to projects but the first of ingest as far as it is their own affair."""
        reasons = self.readiness.reasons
        if project_id == DEFAULT:
            return reasons
        return dict.fromkeys(reasons, "") | {INGEST.full_name: engine.trouble}

    def _log_bytes(self, project_id: str) -> int | None:
        """Return what a project's log takes; None where it is not open."""
        data = self.data.found(project_id)
        return data.engine.log_bytes() if data else None

    async def _made(self, project_id: str) -> None:
        """Open a project that was just made, so that there is a log for others to read."""
        await self.data.get(project_id)

    async def add_sync(self, cohort_target: str, ingest_target: str) -> None:
        """Serve SyncService; it is started once the port listens."""
        apps = self.apps = Opened(self.directory, partial(self._open_app, cohort_target, ingest_target))
        # the first project before ingest has made it, as sync may be started first
        await apps.open(Project(DEFAULT, "UTC", 0))
        self.background.append(apps.keep_all)

        async def find(project_id: str) -> object:
            return (await apps.get(project_id)).servicer

        self.server.add_projects(SYNC, SyncServicer, find)
        self.readiness.require(SYNC.full_name, lambda: "")

    async def _open_app(self, cohort_target: str, ingest_target: str, project: Project) -> SyncApp:
        """Open the syncs of a project, and start them where others run already."""
        options, project_id = self.options, project.project_id
        shown = CollectorRegistry()
        app = await SyncApp.open(
            options.data_dir,
            cohort_target,
            partial(self.credentials, project_id),
            project_id=project_id,
            zone=partial(self.zone, project_id),
            clock=self.clock,
            allow_loopback=options.insecure,
            destination_hosts=options.destination_hosts,
            masters=Masters(options.data_dir, options.master),
            shown_in=shown,
            places=options.places,
            tls=options.client_tls,
            ingest_target=ingest_target,
        )
        self.stack.push_async_callback(app.close)
        self.projects_shown.add(project_id, shown)
        self.stack.callback(self.projects_shown.remove, project_id)
        if self.started:
            await app.start()
        return app

    def credentials(self, project_id: str) -> Metadata:
        """Return what sync sends: its own credential, made anew at each start of ingest, and for which project.

        A sync service that does not share the data directory sends the operator's key.
        """
        own = self.directory.contents().internal.decode()
        return (*bearer(own or self.options.api_key), (PROJECT_METADATA, project_id))

    def zone(self, project_id: str) -> ZoneInfo:
        """Return the time zone of a project; UTC until ingest has made it."""
        project = self.directory.contents().projects.get(project_id)
        return project.zone if project else ZoneInfo("UTC")

    def show_metrics(self) -> None:
        """Let Prometheus read metrics from now on, where the options say so."""
        if self.options.metrics:
            exposition = Exposition(self.registry, *self.options.metrics)
            self.stack.callback(exposition.close)
            log.info("metrics", address=f"{self.options.metrics[0]}:{exposition.port}")

    def open_to_write(self) -> None:
        """Take the data directory for this process to write, and make the first project where there is none."""
        lock = WriterLock(self.options.data_dir)
        self.stack.callback(lock.close)
        if self.options.data_dir.stat().st_mode & 0o077:
            log.warning(
                "data directory open to others",
                path=str(self.options.data_dir),
                advice="chmod -R go= it: it holds customers' data, and a credential that reads all of it",
            )
        self.open_directory("ingest", writable=True)
        self._check_keys()
        options = self.options
        ensure_default(self.directory, options.time_zone, self.clock(), options.dedupe_window)

    def _check_keys(self) -> None:
        options = self.options
        usable = any(key.revoke_time is None for key in self.directory.contents().keys)
        if not (usable or options.api_key or options.insecure):
            raise Refused(
                "NO_KEYS",
                f"there is no API key: set COHORT_API_KEY to one of your own, make one with `cohort keys create "
                f"NAME --operator --data-dir {options.data_dir}`, or start with --insecure",
            )

    async def serve(self, port: int) -> None:
        """Answer calls until told to stop, then let those under way, and the runs of syncs, come to an end."""
        await self.server.start()
        self.started = True
        for app in self.apps.all() if self.apps else []:
            await app.start()
        background = [asyncio.create_task(each()) for each in (self.use.keep, *self.background)]
        await self.readiness.begin()
        print(f"listening on {self.host}:{port}", flush=True)
        await self.stopping.wait()
        log.info("stopping")
        await self.readiness.end()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await asyncio.gather(*(app.drain() for app in (self.apps.all() if self.apps else [])))
        await self.server.stop()
