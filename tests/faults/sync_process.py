"""A sync service in a process of its own, to be killed: `python -m tests.faults.sync_process FOLDER TARGET`.

Prints its port when it serves.
"""

import asyncio
import sys
from pathlib import Path

import structlog

from libs.gen.cohort.v1 import sync_pb2
from libs.rpc.server import Server, stop_signal
from services.sync.app import SyncApp


async def main(folder: str, target: str) -> None:
    """Serve until killed."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    app = await SyncApp.open(Path(folder), target, None, allow_loopback=True)
    server = Server("127.0.0.1:0")
    server.add(sync_pb2.DESCRIPTOR.services_by_name["SyncService"], app.servicer)
    port = await server.start()
    await app.start()
    print(port, flush=True)
    await stop_signal().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
