"""Does a destination end up with the cohort's matchable members, whatever goes wrong? Seeded schedules of faults.

    make faults-sync N=200 SEED=1        # python -m tests.faults.sync_schedules 200 --seed 1

In each, a real process of the sync service is killed (kill -9) and stopped at any moment, its destination (Meta's
Graph API, a webhook, a plug-in) fails before and after it has done what it was asked, hangs, limits and refuses, the
clock jumps, and the cohort and the profiles change, also during runs. At the end nothing goes wrong any more, and
behind one more run

- the destination holds the members that can be matched, each as they are now, and nobody else;
- no batch that was noted as acknowledged was sent again, and one that was sent again was the same under its ids;
- the figures of every run add up.

A schedule is told by its seed; how its threads and processes interleave is not, so that a failure may need a few
repetitions to come again.
"""

import argparse
import asyncio
import logging
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import structlog
from google.protobuf import json_format

from libs.gen.cohort.v1 import sync_pb2
from libs.rpc.errors import Failure
from services.sync.model import RunId, SyncId
from services.sync.store import Store
from tests.fakes.cohort_service import FakeCohortService
from tests.faults.destinations import KINDS, Destination
from tests.faults.sync_service import PATIENCE, SyncProcess, set_clock

PEOPLE = [f"c-{n:02}" for n in range(40)]
DEADLINE = 60.0
HOUR_MS = 3_600_000
TRIES = 6
"""Runs until one ends without an error, where nothing goes wrong any more: the first may end as a fault has it."""


class Schedule:
    """One schedule of faults; `tally` counts what was done."""

    def __init__(self, seed: int, process: SyncProcess, folder: Path, tally: Counter[str]) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.history: list[str] = []
        self._process = process
        self._folder = folder
        self._tally = tally
        self._cohorts = FakeCohortService(shards=self.dice.randrange(1, 3))
        self._ahead = 0
        self._acknowledged: list[tuple[int, dict[str, int]]] = []
        self._destination: Destination = KINDS[seed % len(KINDS)](self.dice, PEOPLE)

    async def perform(self) -> None:
        """Go through it. Raises AssertionError where something does not hold."""
        try:
            await self._perform()
        finally:
            await self._process.end(signal.SIGKILL)
            await self._cohorts.stop()

    async def _perform(self) -> None:
        set_clock(self._folder, 0)
        await self._cohorts.start()
        async with self._destination:
            for name in PEOPLE:
                self._cohorts.profiles[name] = self._profile(name)
            self._cohort_id = self._cohorts.add_cohort("C", self.dice.sample(PEOPLE, 20))
            await self._process.start(self._folder, self._cohorts.target)
            await self._create()
            for _ in range(self.dice.randrange(4, 9)):
                await self._step()
            await self._check()
            await self._process.end(signal.SIGTERM)

    async def _create(self) -> None:
        made = await self._call(
            "CreateDestination", {"destination": {"name": "d", **self._destination.settings}}
        )
        sync = {
            "cohortId": self._cohort_id,
            "destinationId": made["destination"]["destinationId"],
            "schedule": {"hourly": {}},
        }
        self._sync_id = (await self._call("CreateSync", {"sync": sync}))["sync"]["syncId"]

    # Steps

    async def _step(self) -> None:
        dice = self.dice
        for _ in range(dice.randrange(1, 4)):
            self._change()
        if dice.random() < 0.7:
            self.history.append("trouble")
            self._destination.misbehave(PATIENCE.attempts)
        if dice.random() < 0.3:
            self._jump()
        await self._call_to_run()
        match dice.choice(["kill", "kill", "stop", "change", "wait", "kill twice"]):
            case "kill":
                await self._end_behind_calls(signal.SIGKILL)
            case "kill twice":
                await self._end_behind_calls(signal.SIGKILL)
                await self._end_behind_calls(signal.SIGKILL)
            case "stop":
                await self._end_behind_calls(signal.SIGTERM)
            case "change":
                await self._wait_calls()
                self._change()
        if dice.random() < 0.6:
            await self._wait_idle()

    def _change(self) -> None:
        dice, cohorts = self.dice, self._cohorts
        members = cohorts.cohorts[self._cohort_id].members
        what = dice.choice(["swap", "swap", "swap", "profiles", "profiles", "renumber", "erase", "come back"])
        self.history.append(what)
        match what:
            case "swap":
                members ^= set(dice.sample(PEOPLE, dice.randrange(20)))
            case "profiles":
                for name in dice.sample(PEOPLE, 5):
                    cohorts.profiles[name] = self._profile(name)
            case "renumber":
                if dice.random() < 0.3:
                    cohorts.renumber()
            case "erase":
                cohorts.erase(dice.choice(PEOPLE))
            case "come back":
                person = dice.choice(PEOPLE)
                cohorts.erase(person)
                members.add(person)

    def _profile(self, name: str) -> dict[str, Any]:
        usual = f"{name}@example.com"
        address = self.dice.choice((usual, usual, f"new-{name}@example.com", "shared@example.com", "", "bad"))
        return {"email": address} if address else {}

    def _jump(self) -> None:
        self._ahead += self.dice.choice((-HOUR_MS, -60_000, 60_000, HOUR_MS, 30 * HOUR_MS))
        self.history.append(f"clock {self._ahead}")
        self._tally["clock jumps"] += 1
        set_clock(self._folder, self._ahead)

    async def _call_to_run(self) -> None:
        try:
            await self._call("RunSync", {"syncId": self._sync_id})
            self.history.append("run")
        except grpc.RpcError as failed:
            failure = Failure.of(failed)
            if failure.reason != "RUN_IN_PROGRESS":
                raise
            self.history.append("is running")

    async def _wait_calls(self) -> None:
        """Wait for some more calls, or for the run to end before."""
        wanted = self._destination.calls() + self.dice.randrange(5)
        running = True
        while self._destination.calls() < wanted and running:
            running = await self._is_running()

    async def _end_behind_calls(self, sign: signal.Signals) -> None:
        """Kill or stop the service at some moment, note what it has noted, and start it again."""
        await self._wait_calls()
        await self._process.end(sign)
        self.history.append(sign.name)
        self._tally["kills" if sign is signal.SIGKILL else "stops"] += 1
        self._note_acknowledged()
        if self.dice.random() < 0.3:
            self._change()
        if self.dice.random() < 0.2:
            self._jump()
        await self._process.start(self._folder, self._cohorts.target)

    def _note_acknowledged(self) -> None:
        store = Store(self._folder)
        with store.read() as txn:
            sync = store.sync(txn, self._sync_id)
            run = store.running(txn, sync) if sync else None
            if run is not None and store.plans.find(txn, SyncId(self._sync_id), RunId(run.run_id)):
                place = store.plans.place(txn, SyncId(self._sync_id))
                last = self._destination.acknowledged(self._sync_id, run.run_id, place)
                self._acknowledged.append((self._destination.sent(), last))
                self._tally["runs cut off"] += 1
        store.environment.close()

    # Checks

    async def _check(self) -> None:
        self._destination.behave()
        self._ahead += 2 * HOUR_MS  # behind every limit
        set_clock(self._folder, self._ahead)
        for _ in range(TRIES):
            await self._wait_idle()
            await self._call("ResumeSync", {"syncId": self._sync_id})
            before = set(await self._runs())
            await self._call_to_run()
            await self._wait_idle()
            runs = await self._runs()
            begun = [run for run_id, run in runs.items() if run_id not in before]
            if begun and begun[0]["state"] in ("SUCCEEDED", "PARTIAL"):
                break
            self.history.append(f"ended {[(run['state'], run.get('error')) for run in begun]}")
        else:
            raise AssertionError("no run ends well though nothing goes wrong")
        members = self._cohorts.cohorts[self._cohort_id].members
        held, wanted = (
            self._destination.held(self._sync_id),
            self._destination.wanted(members, self._cohorts.profiles),
        )
        assert held == wanted, f"holds {held}, should hold {wanted}"
        for run in runs.values():
            _check_figures(run)
        self._check_sends(list(runs))
        self._tally["runs"] += len(runs)

    def _check_sends(self, runs: list[str]) -> None:
        latest: dict[str, int] = {}
        contents: dict[tuple[str, int], str] = {}
        for place, of, number, content in self._destination.sends(runs, self._sync_id):
            assert number >= latest.get(of, 0), f"batch {number} of {of} was sent behind {latest[of]}"
            for behind, last in self._acknowledged:
                noted = place >= behind and number <= last.get(of, 0)
                assert not noted, f"batch {number} of {of} was acknowledged, and sent again behind a kill"
            if (of, number) in contents:
                self._tally["batches sent again"] += 1
                assert contents[of, number] == content, f"batch {number} of {of} came back as another"
            latest[of], contents[of, number] = number, content
        self._tally["batches"] += len(contents)

    # Calls

    async def _runs(self) -> dict[str, dict[str, Any]]:
        """Return all runs, newest first."""
        listed = (await self._call("ListSyncRuns", {"syncId": self._sync_id})).get("runs", [])
        return {run["runId"]: run for run in listed}

    async def _is_running(self) -> bool:
        last = (await self._call("GetSync", {"syncId": self._sync_id}))["sync"].get("lastRun", {})
        return bool(last.get("state") == "RUNNING")

    async def _wait_idle(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while await self._is_running():  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # it is in another process

    async def _call(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        message = getattr(sync_pb2, f"{method}Request")()
        json_format.ParseDict(request, message)
        answer: dict[str, Any] = json_format.MessageToDict(
            await getattr(self._process.stub, method)(message, timeout=DEADLINE)
        )
        return answer


def _check_figures(run: dict[str, Any]) -> None:
    rejected = sum(one["count"] for one in run.get("rejected", ()))
    planned = run.get("plannedAdds", 0) + run.get("plannedRemoves", 0)
    done = run.get("deliveredAdds", 0) + run.get("deliveredRemoves", 0) + rejected
    assert run.get("standing", 0) <= rejected, run
    if run["state"] in ("SUCCEEDED", "PARTIAL"):
        assert done == planned, f"figures do not add up: {run}"
        assert (run["state"] == "PARTIAL") == bool(rejected), run
        assert not run.get("error"), run
    else:
        assert run["state"] in ("FAILED", "CANCELLED"), run
        assert done <= planned, f"figures do not add up: {run}"
    assert run.get("deliveredAdds", 0) <= run.get("plannedAdds", 0), run
    assert run.get("deliveredRemoves", 0) <= run.get("plannedRemoves", 0), run


async def perform(seeds: range, tell: Callable[[str], None] = print) -> Counter[str]:
    """Go through schedules, and return what was done. Raises AssertionError, with the seed and the history."""
    tally: Counter[str] = Counter()
    process = SyncProcess()
    await process.open()
    try:
        for done, seed in enumerate(seeds, 1):
            with tempfile.TemporaryDirectory(prefix="cohort-faults-") as folder:
                schedule = Schedule(seed, process, Path(folder), tally)
                try:
                    await schedule.perform()
                except Exception as failed:
                    raise AssertionError(f"seed {seed}: {failed}\n{' · '.join(schedule.history)}") from failed
            tally["schedules"] += 1
            if done % 10 == 0:
                tell(f"{done} of {len(seeds)}: {', '.join(f'{n:,} {what}' for what, n in tally.items())}")
    finally:
        await process.close()
    return tally


def main() -> None:
    """Go through as many as asked for."""
    parser = argparse.ArgumentParser(description="Seeded schedules of faults around the sync service.")
    parser.add_argument("schedules", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=0, help="the first seed [0]")
    given = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
    )  # the fakes' calls
    began = time.perf_counter()
    try:
        tally = asyncio.run(perform(range(given.seed, given.seed + given.schedules)))
    except AssertionError as failed:
        sys.exit(f"FAILED {failed}")
    minutes = (time.perf_counter() - began) / 60
    print(f"all held, in {minutes:.1f} min: {', '.join(f'{n:,} {what}' for what, n in tally.items())}")


if __name__ == "__main__":
    main()
