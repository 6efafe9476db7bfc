"""Is what was delivered known after a kill? A real process, killed in the middle of a run."""

import asyncio
import sys
from typing import Any

from libs.gen.cohort.v1 import sync_pb2, sync_pb2_grpc
from libs.rpc.client import connect_async
from tests.contract.sync.harness import SyncHarness, until
from tests.fakes.cohort_service import FakeCohortService
from tests.fakes.webhook import Answer, WebhookReceiver


async def test_a_killed_run_has_failed_and_the_next_sends_just_the_rest(tmp_path):
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
    with WebhookReceiver() as receiver:
        # Two pages are acknowledged; the third is received and never answered.
        receiver.misbehave(Answer(), Answer(), Answer(hang=True))
        async with connect_async(f"127.0.0.1:{port}") as channel:
            stub: Any = sync_pb2_grpc.SyncServiceStub(channel)
            destination = sync_pb2.Destination(
                name="hook", webhook=sync_pb2.WebhookDestination(url=receiver.url)
            )
            made = await stub.CreateDestination(sync_pb2.CreateDestinationRequest(destination=destination))
            sync = sync_pb2.Sync(cohort_id=cohort_id, destination_id=made.destination.destination_id)
            sync.schedule.once.SetInParent()
            started = (await stub.CreateSync(sync_pb2.CreateSyncRequest(sync=sync))).sync
            await until(lambda: len(receiver.calls) == 3)
            process.kill()
            await process.wait()
        receiver.release()
        harness = SyncHarness(tmp_path, cohorts)
        await harness.start()
        cut_off = await harness.ended(started.last_run.run_id)
        assert cut_off["state"] == "FAILED"
        assert cut_off["deliveredAdds"] == 2000
        assert "the service stopped" in cut_off["error"]
        rest = await harness.run(started.sync_id)
        assert (rest["state"], rest["plannedAdds"], rest["deliveredAdds"]) == ("SUCCEEDED", 500, 500)
        assert receiver.calls[3].body["adds"] == receiver.calls[2].body["adds"]
        assert len(receiver.members(started.sync_id)) == 2500
        await harness.stop()
    await cohorts.stop()
