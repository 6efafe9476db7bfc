"""Does a run go on behind its last acknowledged page after a kill? A real process, killed in the middle."""

import asyncio
import sys
from typing import Any

from libs.gen.cohort.v1 import sync_pb2, sync_pb2_grpc
from libs.rpc.client import connect_async
from tests.contract.sync.harness import SECRET, SyncHarness, until
from tests.fakes.cohort_service import FakeCohortService
from tests.fakes.webhook import Answer, WebhookReceiver


async def test_a_killed_run_goes_on_with_the_page_that_was_under_way_and_sends_none_twice(tmp_path):
    cohorts = FakeCohortService()
    cohort_id = cohorts.add_cohort("Many", [f"c-{n:05}" for n in range(2500)])
    await cohorts.start()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.sync_process",
        str(tmp_path),
        cohorts.target,
        stdout=asyncio.subprocess.PIPE,
    )
    port = int(await process.stdout.readline())
    with WebhookReceiver(SECRET) as receiver:
        # Two pages are acknowledged; the third is received and never answered.
        receiver.misbehave(Answer(), Answer(), Answer(hang=True))
        async with connect_async(f"127.0.0.1:{port}") as channel:
            stub: Any = sync_pb2_grpc.SyncServiceStub(channel)
            destination = sync_pb2.Destination(
                name="hook", webhook=sync_pb2.WebhookDestination(url=receiver.url, signing_secret=SECRET)
            )
            made = await stub.CreateDestination(sync_pb2.CreateDestinationRequest(destination=destination))
            sync = sync_pb2.Sync(cohort_id=cohort_id, destination_id=made.destination.destination_id)
            sync.schedule.once.SetInParent()
            started = (await stub.CreateSync(sync_pb2.CreateSyncRequest(sync=sync))).sync
            await until(lambda: len(receiver.calls) == 3)
            process.kill()
            await process.wait()
        receiver.release()
        cohorts.profiles["c-02000"] = {"plan": "changed meanwhile"}
        harness = SyncHarness(tmp_path, cohorts)
        await harness.start()
        run = await harness.ended(started.last_run.run_id)
        assert (run["state"], run["plannedAdds"], run["deliveredAdds"]) == ("SUCCEEDED", 2500, 2500)
        assert (run["batches"], run["attempts"]) == (3, 3)
        lost, again = receiver.calls[2], receiver.calls[3]
        assert again.body == lost.body, "sent again as it was"
        assert again.headers["webhook-id"] == lost.headers["webhook-id"]
        assert len(receiver.calls) == 4
        assert len(receiver.members(started.sync_id)) == 2500
        await harness.stop()
    await cohorts.stop()
