"""How do services become a process? Opens what each needs, puts them on one port, and takes them down in order.

The composition root: the one place that knows all three services. `cohort serve` and the three single services
run the same code; they differ in what they are composed of.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from libs.cli.readiness import Readiness, caught_up, writable
from libs.clock import Clock, system_clock
from libs.engine import Engine
from libs.events.log import EventLog
from libs.gen.cohort.v1 import admin_pb2, cohort_pb2, ingest_pb2, sync_pb2
from libs.index.calendar import Calendar
from libs.metrics import EngineCollector, Exposition, new_registry
from libs.rpc.metrics import Calls
from libs.rpc.server import Server, stop_signal
from libs.storage import projects
from libs.storage.environment import Absent, WriterLock
from libs.storage.projects import Project
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
    """What the command line says. `listen` is HOST:PORT; without a key everybody may call."""

    data_dir: Path
    listen: str
    api_key: str | None = None
    allow_loopback: bool = False
    time_zone: str | None = None
    cohort_target: str = ""
    destination_hosts: tuple[str, ...] = ()
    metrics: tuple[str, int] | None = None
    """Host and port on which Prometheus may read metrics; None: nowhere."""


class Process:
    """One serving process: resources open in order and close in reverse, after the calls have drained."""

    def __init__(self, options: Options, clock: Clock = system_clock) -> None:
        self.options = options
        self.clock = clock
        self.registry = new_registry()
        self.calls = Calls(self.registry)
        self.server = Server(options.listen, options.api_key, self.calls)
        self.readiness = Readiness(self.server, self.registry)
        self.engines = EngineCollector()
        self.registry.register(self.engines)
        self.stack = AsyncExitStack()
        self.stopping = stop_signal()  # at once: a signal while resources open must end in order too
        self.host = options.listen.rpartition(":")[0]

    @property
    def own_host(self) -> str:
        """The host under which this process reaches itself."""
        return {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(self.host, self.host)

    def add_ingest(self, engine: Engine) -> None:
        """Serve IngestService, and AdminService beside it."""
        service = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"]
        self.server.add(service, IngestServicer(engine, self.clock))
        admin = AdminServicer(engine, self.calls.summaries, lambda: self.readiness.reasons)
        self.server.add(admin_pb2.DESCRIPTOR.services_by_name["AdminService"], admin)
        self.readiness.require(service.full_name, writable(engine))
        self.readiness.require(service.full_name, caught_up(engine))

    def add_cohort(self, engine: Engine) -> None:
        """Serve CohortService."""
        store = CohortStore(self.options.data_dir / "cohort")
        self.stack.callback(store.close)
        service = cohort_pb2.DESCRIPTOR.services_by_name["CohortService"]
        self.server.add(service, CohortServicer(engine, store, self.clock))
        self.readiness.require(service.full_name, caught_up(engine))

    async def add_sync(self, cohort_target: str) -> SyncApp:
        """Serve SyncService; it is started once the port listens."""
        options = self.options
        app = await SyncApp.open(
            options.data_dir,
            cohort_target,
            options.api_key,
            clock=self.clock,
            allow_loopback=options.allow_loopback,
            destination_hosts=options.destination_hosts,
            shown_in=self.registry,
        )
        self.stack.push_async_callback(app.close)
        service = sync_pb2.DESCRIPTOR.services_by_name["SyncService"]
        self.server.add(service, app.servicer)
        self.readiness.require(service.full_name, lambda: "")
        return app

    def engine(self, project: Project, *, writable: bool) -> Engine:
        """Open the project's log and the index over it, and catch up."""
        folder = self.options.data_dir / "events" / project.project_id
        engine = Engine(
            EventLog(folder, readonly=not writable), Calendar(project.zone), self.clock, writable=writable
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
        return projects.ensure_default(self.options.data_dir, self.options.time_zone, self.clock())

    async def serve(self, port: int, app: SyncApp | None = None) -> None:
        """Answer calls until told to stop, then let those under way, and the run of a sync, come to an end."""
        await self.server.start()
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


async def serve_all(process: Process) -> None:
    """Run the three services on one port, over one index in memory."""
    async with process.stack:
        process.show_metrics()
        engine = process.engine(process.writable_project(), writable=True)
        port = process.server.bind()
        process.add_ingest(engine)
        process.add_cohort(engine)
        app = await process.add_sync(f"{process.own_host}:{port}")
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
        engine = await appears(
            lambda: reading_engine(process), "the log of an ingest service", process.stopping
        )
        if engine:
            process.add_cohort(engine)
            await process.serve(process.server.bind())


def reading_engine(process: Process) -> Engine:
    """Open the log to read. Raises `Absent` while there is none."""
    project = projects.read_default(process.options.data_dir)
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
        app = await process.add_sync(process.options.cohort_target)
        await process.serve(process.server.bind(), app)
