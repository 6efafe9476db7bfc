"""How do services become a process? Opens what each needs, puts them on one port, and takes them down in order.

The composition root: the one place that knows all three services. `cohort serve` and the three single services
run the same code; they differ in what they are composed of.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from libs.cli.readiness import Readiness, caught_up, writable
from libs.clock import Clock, system_clock
from libs.engine import Engine
from libs.errors import Refused
from libs.events.log import EventLog
from libs.gen.cohort.v1 import admin_pb2, cohort_pb2, ingest_pb2, sync_pb2
from libs.index.calendar import Calendar
from libs.metrics import EngineCollector, Exposition, new_registry
from libs.rpc.access import Keys
from libs.rpc.client import Metadata, bearer
from libs.rpc.limits import DEFAULT_LIMITS, Limits
from libs.rpc.metrics import Calls
from libs.rpc.server import Server, stop_signal
from libs.storage.directory import Directory, ensure_default
from libs.storage.environment import Absent, WriterLock
from libs.storage.key_use import KeyUse
from libs.storage.master_key import MasterKey, Masters
from libs.storage.projects import DEFAULT, Project
from services.cohort.servicer import CohortServicer
from services.cohort.store import CohortStore
from services.ingest.admin import AdminServicer
from services.ingest.servicer import IngestServicer
from services.sync.app import SyncApp

WAIT_SECONDS = 0.2
"""How often a service that reads what another writes looks whether it is there yet."""

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
    metrics: tuple[str, int] | None = None
    """Host and port on which Prometheus may read metrics; None: nowhere."""
    master: MasterKey | None = None
    """The key of secrets at rest; None: the one kept in the data directory, made where there is none."""
    limits: Limits = DEFAULT_LIMITS
    call_level: str = "debug"
    """The level of the line that each call gets in the log."""
    ingest_target: str = ""
    """Where sync reads the list of erasures; empty: nowhere."""
    compact_every: float = 3600.0
    """Seconds between compactions, of what is left of erased customers; 0: only on demand."""


class Process:
    """One serving process: resources open in order and close in reverse, after the calls have drained.

    `open_directory` or `writable_project` comes first.
    """

    directory: Directory
    use: KeyUse
    server: Server
    readiness: Readiness

    def __init__(self, options: Options, clock: Clock = system_clock) -> None:
        self.options = options
        self.clock = clock
        self.registry = new_registry()
        self.calls = Calls(self.registry)
        self.engines = EngineCollector()
        self.registry.register(self.engines)
        self.stack = AsyncExitStack()
        self.stopping = stop_signal()  # at once: a signal while resources open must end in order too
        self.host = options.listen.rpartition(":")[0]

    @property
    def own_host(self) -> str:
        """The host under which this process reaches itself."""
        everywhere = "0.0.0.0"  # nosec B104 # compared, not bound
        return {everywhere: "127.0.0.1", "[::]": "[::1]"}.get(self.host, self.host)

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
            options.listen, keys, self.calls, limits=options.limits, call_level=options.call_level
        )
        self.readiness = Readiness(self.server, self.registry)

    def add_ingest(self, engine: Engine) -> None:
        """Serve IngestService, and AdminService beside it."""
        service = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"]
        self.server.add(service, IngestServicer(engine, self.clock))
        self.server.add(admin_pb2.DESCRIPTOR.services_by_name["AdminService"], self._admin(engine))
        self.readiness.require(service.full_name, writable(engine))
        self.readiness.require(service.full_name, caught_up(engine))

    def _admin(self, engine: Engine) -> AdminServicer:
        return AdminServicer(
            engine,
            self.directory,
            self.use,
            self.clock,
            calls=self.calls.summaries,
            services=lambda: self.readiness.reasons,
        )

    def add_cohort(self, engine: Engine) -> None:
        """Serve CohortService."""
        store = CohortStore(self.options.data_dir / "cohort")
        self.stack.callback(store.close)
        service = cohort_pb2.DESCRIPTOR.services_by_name["CohortService"]
        self.server.add(service, CohortServicer(engine, store, self.clock))
        self.readiness.require(service.full_name, caught_up(engine))

    async def add_sync(self, cohort_target: str, ingest_target: str) -> SyncApp:
        """Serve SyncService; it is started once the port listens."""
        options = self.options
        app = await SyncApp.open(
            options.data_dir,
            cohort_target,
            self.credentials,
            zone=self.zone,
            clock=self.clock,
            allow_loopback=options.insecure,
            destination_hosts=options.destination_hosts,
            masters=Masters(options.data_dir, options.master),
            shown_in=self.registry,
            ingest_target=ingest_target,
        )
        self.stack.push_async_callback(app.close)
        service = sync_pb2.DESCRIPTOR.services_by_name["SyncService"]
        self.server.add(service, app.servicer)
        self.readiness.require(service.full_name, lambda: "")
        return app

    def credentials(self) -> Metadata:
        """Return what sync sends: its own credential, made anew at each start of ingest.

        A sync service that does not share the data directory sends the operator's key.
        """
        return bearer(self.directory.contents().internal.decode() or self.options.api_key)

    def zone(self) -> ZoneInfo:
        """Return the time zone of the project; UTC until ingest has made it."""
        project = self.directory.contents().projects.get(DEFAULT)
        return project.zone if project else ZoneInfo("UTC")

    def engine(self, project: Project, *, writable: bool) -> Engine:
        """Open the project's log and the index over it, and catch up."""
        folder = self.options.data_dir / "events" / project.project_id
        engine = Engine(
            EventLog(folder, readonly=not writable),
            Calendar(project.zone),
            self.clock,
            writable=writable,
            compact_every=self.options.compact_every,
        )
        self.stack.callback(engine.close)
        self.engines.add(project.project_id, engine)
        self.stack.callback(self.engines.remove, project.project_id)
        engine.snapshot()
        return engine

    def show_metrics(self) -> None:
        """Let Prometheus read metrics from now on, where the options say so."""
        if self.options.metrics:
            exposition = Exposition(self.registry, *self.options.metrics)
            self.stack.callback(exposition.close)
            log.info("metrics", address=f"{self.options.metrics[0]}:{exposition.port}")

    def writable_project(self) -> Project:
        """Return the project, made where there is none, of a data directory that is this process's to write."""
        lock = WriterLock(self.options.data_dir)
        self.stack.callback(lock.close)
        self.open_directory("ingest", writable=True)
        self._check_keys()
        return ensure_default(self.directory, self.options.time_zone, self.clock())

    def _check_keys(self) -> None:
        options = self.options
        usable = any(key.revoke_time is None for key in self.directory.contents().keys)
        if not (usable or options.api_key or options.insecure):
            raise Refused(
                "NO_KEYS",
                f"there is no API key: set COHORT_API_KEY to one of your own, make one with `cohort keys create "
                f"NAME --operator --data-dir {options.data_dir}`, or start with --insecure",
            )

    async def serve(self, port: int, app: SyncApp | None = None) -> None:
        """Answer calls until told to stop, then let those under way, and the run of a sync, come to an end."""
        await self.server.start()
        noting = asyncio.create_task(self.use.keep())
        if app:
            await app.start()
        await self.readiness.begin()
        print(f"listening on {self.host}:{port}", flush=True)
        await self.stopping.wait()
        log.info("stopping")
        await self.readiness.end()
        if app:
            await app.drain()
        await self.server.stop()
        noting.cancel()
        with suppress(asyncio.CancelledError):
            await noting


async def serve_all(process: Process) -> None:
    """Run the three services on one port, over one index in memory."""
    async with process.stack:
        process.show_metrics()
        project = process.writable_project()
        engine = process.engine(project, writable=True)
        port = process.server.bind()
        process.add_ingest(engine)
        process.add_cohort(engine)
        own = f"{process.own_host}:{port}"
        app = await process.add_sync(own, own)
        await process.serve(port, app)


async def serve_ingest(process: Process) -> None:
    """Run the ingest service: the one process that writes the log."""
    async with process.stack:
        process.show_metrics()
        process.add_ingest(process.engine(process.writable_project(), writable=True))
        await process.serve(process.server.bind())


async def serve_cohort(process: Process) -> None:
    """Run the cohort service on the log that an ingest service writes, once there is one."""
    async with process.stack:
        process.show_metrics()
        process.open_directory("cohort")
        engine = await appears(
            lambda: reading_engine(process), "the log of an ingest service", process.stopping
        )
        if engine:
            process.add_cohort(engine)
            await process.serve(process.server.bind())


def reading_engine(process: Process) -> Engine:
    """Open the log to read. Raises `Absent` while there is none."""
    project = process.directory.contents().projects.get(DEFAULT)
    if project is None:
        raise Absent(f"{process.options.data_dir} holds no project yet")
    return process.engine(project, writable=False)


async def appears(opening: Callable[[], Engine], what: str, stopping: asyncio.Event) -> Engine | None:
    """Open something as soon as it is there; None where the process is told to stop before."""
    waiting = False
    while not stopping.is_set():
        try:
            return opening()
        except Absent:
            if not waiting:
                log.info("waiting", what=what)
                waiting = True
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), WAIT_SECONDS)
    return None


async def serve_sync(process: Process) -> None:
    """Run the sync service, which asks a cohort service who the members are."""
    async with process.stack:
        process.show_metrics()
        process.open_directory("sync")
        if not process.options.ingest_target:
            log.warning("erasures are not followed", why="no --ingest-target to read them from")
        app = await process.add_sync(process.options.cohort_target, process.options.ingest_target)
        await process.serve(process.server.bind(), app)
