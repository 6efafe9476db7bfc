"""How do contract tests talk to sync? A served SyncService, called in JSON form."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format

from libs.gen.cohort.v1 import sync_pb2, sync_pb2_grpc
from libs.rpc.client import connect_async
from libs.rpc.errors import Failure
from libs.rpc.server import Server
from services.sync.app import SyncApp
from services.sync.destinations.retrying import Patience
from services.sync.progress import Stopped
from services.sync.run import Delivery
from tests.fakes.cohort_service import FakeCohortService
from tests.fakes.graph import GraphApi
from tests.fakes.webhook import WebhookReceiver

SERVICE = sync_pb2.DESCRIPTOR.services_by_name["SyncService"]
TOKEN = "EAAB-canary-token-0123456789"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
IMPATIENT = Patience(attempts=3, shortest_wait=0.0, longest_wait=0.0, timeout=5.0)
DEADLINE = 15.0

Json = dict[str, Any]


class StepClock:
    """A clock that stands still until it is stepped; ms."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        """Return the present instant."""
        return self.now


async def until(condition: Callable[[], Any]) -> Any:
    """Wait until `condition` is true, and return what it returned."""
    async with asyncio.timeout(DEADLINE):
        while not (result := condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.002)  # what is waited for has no event to wait on
        return result


class SyncHarness:
    """A sync service over a folder, which can be stopped and started again. Options go to `SyncApp.open`."""

    def __init__(self, data_dir: Path, cohorts: FakeCohortService, **options: Any) -> None:
        self.data_dir = data_dir
        self.cohorts = cohorts
        self.options: Json = {"allow_loopback": True, "patience": IMPATIENT, **options}

    async def start(self) -> None:
        await self.serve()
        await self.app.start()

    async def serve(self) -> None:
        """Listen, without anything falling due yet."""
        self.app = await SyncApp.open(self.data_dir, self.cohorts.target, None, **self.options)
        self._server = Server("127.0.0.1:0")
        self._server.add(SERVICE, self.app.servicer)
        self._channel = connect_async(f"127.0.0.1:{await self._server.start()}")
        self._stub: Any = sync_pb2_grpc.SyncServiceStub(self._channel)

    async def stop(self) -> None:
        await self._channel.close()
        await self._server.stop()
        await self.app.drain()
        await self.app.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def cut_off_at_the_end(self, sync_id: str, monkeypatch: Any) -> Json:
        """Run a sync, stop when all is delivered and noted, start anew, and return the run when it has ended."""
        reached = False

        def stop(*_: Any, **__: Any) -> None:
            nonlocal reached
            reached = True
            raise Stopped("the service is stopping")

        with monkeypatch.context() as patched:
            patched.setattr(Delivery, "_end", stop)
            run_id = (await self.call("RunSync", {"syncId": sync_id}))["run"]["runId"]
            await until(lambda: reached)
            await self.stop()
        await self.start()
        return await self.ended(run_id)

    async def call(self, method: str, request: Json | None = None) -> Json:
        """Call in JSON form."""
        message = getattr(sync_pb2, f"{method}Request")()
        json_format.ParseDict(request or {}, message)
        answer: Json = json_format.MessageToDict(await getattr(self._stub, method)(message))
        return answer

    async def failure(self, method: str, request: Json | None = None) -> Failure:
        """Call, and return how that fails."""
        try:
            answer = await self.call(method, request)
        except grpc.RpcError as error:
            return Failure.of(error)
        raise AssertionError(f"{method} answered {answer}")

    async def webhook(self, receiver: WebhookReceiver, name: str = "hook") -> str:
        """Make a signed webhook destination and return its id."""
        return await self.webhook_at(receiver.url, name)

    async def webhook_at(self, url: str, name: str) -> str:
        """Make a signed webhook destination at a URL and return its id."""
        webhook = {"url": url, "signingSecret": SECRET}
        made = await self.call("CreateDestination", {"destination": {"name": name, "webhook": webhook}})
        return str(made["destination"]["destinationId"])

    async def file(self, path: Path | str, file_format: str = "CSV", name: str = "file") -> str:
        """Make a file destination and return its id."""
        settings = {"path": str(path), "format": file_format}
        made = await self.call("CreateDestination", {"destination": {"name": name, "file": settings}})
        return str(made["destination"]["destinationId"])

    async def facebook(self, graph: GraphApi, name: str = "ads", **fields: Any) -> str:
        """Make a Facebook Ads destination, by e-mail where nothing else is said, and return its id."""
        settings = {
            "adAccountId": "act_42",
            "accessToken": TOKEN,
            "matchKeys": ["EMAIL"],
            "graphUrl": graph.url,
            **fields,
        }
        made = await self.call("CreateDestination", {"destination": {"name": name, "facebookAds": settings}})
        return str(made["destination"]["destinationId"])

    async def sync(self, cohort_id: str, destination_id: str, **fields: Any) -> Json:
        """Make a sync, hourly where no schedule is given."""
        sync = {
            "cohortId": cohort_id,
            "destinationId": destination_id,
            "schedule": {"hourly": {}},
            **fields,
        }
        made: Json = (await self.call("CreateSync", {"sync": sync}))["sync"]
        return made

    async def run(self, sync_id: str) -> Json:
        """Run a sync and return the run when it has ended."""
        run = (await self.call("RunSync", {"syncId": sync_id}))["run"]
        return await self.ended(run["runId"])

    async def ended(self, run_id: str) -> Json:
        """Return a run when it has ended."""
        async with asyncio.timeout(DEADLINE):
            while True:
                run: Json = (await self.call("GetSyncRun", {"runId": run_id}))["run"]
                if run["state"] != "RUNNING":
                    return run
                await asyncio.sleep(0.002)
