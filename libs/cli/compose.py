"""How do services become a process? Opens what each needs, puts them on one port, and takes them down in order.

`cohort serve` and the three single services run the same code; they differ in what they are composed of.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from libs.cli.process import Process
from libs.storage.failures import Absent

WAIT_SECONDS = 0.2
"""How often a service that reads what another writes looks whether it is there yet."""

log = structlog.get_logger()


async def serve_all(process: Process) -> None:
    """Run the three services on one port, over one index of each project in memory."""
    async with process.stack:
        process.show_metrics()
        if process.options.tls:
            process.open_own()
        process.open_to_write()
        port = process.server.bind()
        await process.add_data(ingest=True, cohort=True)
        own = process.own or f"{process.own_host}:{port}"
        await process.add_sync(own, own)
        await process.serve(port)


async def serve_ingest(process: Process) -> None:
    """Run the ingest service: the one process that writes the logs."""
    async with process.stack:
        process.show_metrics()
        process.open_to_write()
        await process.add_data(ingest=True)
        await process.serve(process.server.bind())


async def serve_cohort(process: Process) -> None:
    """Run the cohort service on the logs that an ingest service writes, once there is one."""
    async with process.stack:
        process.show_metrics()
        process.open_directory("cohort")
        if await appears(
            lambda: process.add_data(cohort=True), "the log of an ingest service", process.stopping
        ):
            await process.serve(process.server.bind())


async def appears(opening: Callable[[], Awaitable[None]], what: str, stopping: asyncio.Event) -> bool:
    """Open something as soon as it is there; False where the process is told to stop before."""
    waiting = False
    while not stopping.is_set():
        try:
            await opening()
        except Absent:
            if not waiting:
                log.info("waiting", what=what)
                waiting = True
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), WAIT_SECONDS)
        else:
            return True
    return False


async def serve_sync(process: Process) -> None:
    """Run the sync service, which asks a cohort service who the members are."""
    async with process.stack:
        process.show_metrics()
        process.open_directory("sync")
        if not process.options.ingest_target:
            log.warning("erasures are not followed", why="no --ingest-target to read them from")
        await process.add_sync(process.options.cohort_target, process.options.ingest_target)
        await process.serve(process.server.bind())
