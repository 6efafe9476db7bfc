"""Which sync service is killed? One that forks from a process with everything loaded, so that a start takes no time.

`SyncProcess` starts, kills and stops it. `python -m tests.faults.sync_service` is the process it forks from: it
takes one request a line, and answers {"pid", "port"}. The service's clock is the real one plus what the file
`clock` of its folder says, in ms; its pages are small, and it has little patience.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from libs.clock import system_clock
from libs.gen.cohort.v1 import sync_pb2, sync_pb2_grpc
from libs.rpc.client import connect_async
from libs.rpc.server import Server, stop_signal
from services.sync.app import SyncApp
from services.sync.destinations.facebook.target import FacebookTarget
from services.sync.destinations.retrying import Patience
from services.sync.destinations.webhook import WebhookTarget

PAGE = 5
PATIENCE = Patience(
    attempts=3,
    shortest_wait=0.0,
    longest_wait=0.0,
    longest_retry_after=1.0,
    longest_account_wait=0.0,
    timeout=0.5,
    upload_timeout=0.5,
)


class SyncProcess:
    """A sync service over a folder, which can be killed and started again."""

    def __init__(self) -> None:
        self._loader: Any = None
        self._channel: Any = None
        self._pid = 0
        self.stub: Any = None

    async def open(self) -> None:
        """Load what services fork from."""
        self._loader = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.sync_service",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

    async def start(self, folder: Path, target: str) -> None:
        """Serve `folder`, with members from `target`."""
        answer = await self._ask({"folder": str(folder), "target": target})
        self._pid = answer["pid"]
        self._channel = connect_async(f"127.0.0.1:{answer['port']}")
        self.stub = sync_pb2_grpc.SyncServiceStub(self._channel)

    async def end(self, sign: signal.Signals) -> None:
        """Kill it or stop it, and return when it is gone."""
        if self._pid:
            os.kill(self._pid, sign)
            await self._ask({"reap": self._pid})
            await self._channel.close()
        self._pid = 0

    async def close(self) -> None:
        """Let go of the process that services fork from."""
        self._loader.stdin.close()
        await self._loader.wait()

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._loader.stdin.write(json.dumps(request).encode() + b"\n")
        line = await self._loader.stdout.readline()
        if not line:
            raise RuntimeError("the process that services fork from has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


def set_clock(folder: Path, ahead: int) -> None:
    """Put the clock of the service over `folder` so many ms ahead of the real one."""
    (folder / "clock").write_text(str(ahead))


async def _serve(folder: Path, target: str, report: int) -> None:
    WebhookTarget.page_size = FacebookTarget.page_size = PAGE

    def clock() -> int:
        return system_clock() + int((folder / "clock").read_text() or "0")

    app = await SyncApp.open(folder, target, None, clock=clock, allow_loopback=True, patience=PATIENCE)
    server = Server("127.0.0.1:0")
    server.add(sync_pb2.DESCRIPTOR.services_by_name["SyncService"], app.servicer)
    port = await server.start()
    await app.start()
    os.write(report, b"%d\n" % port)
    await stop_signal().wait()
    await app.drain()
    await server.stop()
    await app.close()


def _fork(folder: Path, target: str) -> dict[str, int]:
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.close(0)
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
            asyncio.run(_serve(folder, target, write))
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as reports:
        return {"pid": pid, "port": int(reports.readline() or 0)}


def main() -> None:
    """Fork and reap as asked, until nobody asks any more."""
    for line in sys.stdin:
        request = json.loads(line)
        if "reap" in request:
            os.waitpid(request["reap"], 0)
            print("{}", flush=True)
        else:
            print(json.dumps(_fork(Path(request["folder"]), request["target"])), flush=True)


if __name__ == "__main__":
    main()
