"""What may a plug-in have kept and shown? Reasons of its own, and nothing of the customers it was sent."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.sync import runner
from services.sync.destinations.base import Blocked
from services.sync.destinations.plugin import MOST_REASONS
from services.sync.model import RunId
from tests.contract.sync.harness import Json, SyncHarness
from tests.fakes.cohort_service import FakeCohortService
from tests.fakes.plugin import Plugin, plugin

PEOPLE = {f"canary-person-{number}": {"email": f"Town.Canary{number}@x"} for number in range(60)}


@pytest_asyncio.fixture
async def plugged() -> AsyncIterator[Plugin]:
    async with plugin(batch=25) as served:
        yield served


async def made(sync: SyncHarness, cohorts: FakeCohortService, plugged: Plugin) -> str:
    for customer_id, data in PEOPLE.items():
        cohorts.profiles[customer_id] = data
    settings = {"name": "plug", "grpc": {"target": plugged.target}}
    destination = (await sync.call("CreateDestination", {"destination": settings}))["destination"]
    cohort_id = cohorts.add_cohort("C", PEOPLE)
    return str((await sync.sync(cohort_id, destination["destinationId"]))["syncId"])


def reasons(run: Json) -> dict[str, int]:
    return {each["reason"]: each["count"] for each in run["rejected"]}


@pytest.mark.parametrize(
    "reason",
    [
        lambda who: who.upper().replace("-", "_"),
        lambda who: f"NO_{who.upper().replace('-', '_')}_HERE",
        lambda who: f"X{who.upper().replace('-', '_')}X",
        lambda who: PEOPLE[who]["email"].upper().replace(".", "_").replace("@", "_"),
        lambda who: "lower case",
        lambda who: "X" * 64,
    ],
)
async def test_what_names_a_customer_is_no_reason(
    sync: SyncHarness, cohorts: FakeCohortService, plugged: Plugin, reason
) -> None:
    plugged.refuse, plugged.reason = set(PEOPLE), reason
    run = await sync.run(await made(sync, cohorts, plugged))
    assert reasons(run) == {"REFUSED": 60}
    assert "CANARY" not in str(run)


async def test_a_reason_of_its_own_is_kept_and_so_many_different_ones(
    sync: SyncHarness, cohorts: FakeCohortService, plugged: Plugin
) -> None:
    plugged.refuse = set(PEOPLE)
    plugged.reason = lambda who: f"REASON_{int(who.rpartition('-')[2]):03}"
    run = await sync.run(await made(sync, cohorts, plugged))
    assert len(reasons(run)) == MOST_REASONS + 1
    assert reasons(run)["REFUSED"] == 60 - MOST_REASONS


async def test_what_pauses_a_sync_names_nobody_and_is_logged_by_a_word_of_ours(
    sync: SyncHarness, cohorts: FakeCohortService, plugged: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Blocked] = []
    failed = runner._failed
    monkeypatch.setattr(runner, "_failed", lambda run, error: seen.append(error) or failed(run, error))
    sync_id = await made(sync, cohorts, plugged)
    for said, expected in (
        ("CANARY_PERSON_3", "DESTINATION_NOT_READY"),
        ("CONTRACT_ENDED", "CONTRACT_ENDED"),
    ):
        plugged.refuse_with = said
        run = await sync.run(sync_id)
        shown = (await sync.call("GetSync", {"syncId": sync_id}))["sync"]
        assert (run["state"], shown["state"], shown["stateReason"]) == ("FAILED", "PAUSED", expected)
        assert "CANARY" not in str([run, shown])
        [failure] = seen
        assert (failure.reason, failure.logged) == (expected, "DESTINATION_NOT_READY")
        assert failed(RunId("r"), failure).reason == "DESTINATION_NOT_READY"
        seen.clear()
        await sync.call("ResumeSync", {"syncId": sync_id})
