"""Does an erased customer leave every destination, and is the erasure listed until then?"""

import csv
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import pytest_asyncio
from pyarrow import parquet

from services.sync import erasing
from tests.contract.harness import Client, did, event
from tests.contract.harness import client as serve
from tests.contract.sync.harness import SyncHarness, until
from tests.fakes.graph import GraphApi
from tests.fakes.plugin import plugin
from tests.fakes.webhook import Answer, WebhookReceiver

Json = dict[str, Any]
ERASED = "customer-to-erase"
TRACES = (ERASED, "erased@example.com", "event-of-the-erased", "a-brand-of-one")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Client]:
    """Ingest and cohort services, with three customers who have viewed something."""
    with serve(tmp_path / "engine") as (connected, _):
        for who in ("ann", "bob", ERASED):
            connected.send(event(who, eventId=f"event-of-{who}"))
            data = {"email": f"{who}@example.com"}
            connected.call("UpsertCustomers", {"customers": [{"customerId": who, "data": data}]})
        connected.send(event(ERASED, eventId="event-of-the-erased", data={"brand": "a-brand-of-one"}))
        data = {"email": "erased@example.com"}
        connected.call("UpsertCustomers", {"customers": [{"customerId": ERASED, "data": data}]})
        yield connected


class AtPort:
    """Stands for the cohort service, at the address where it is really served."""

    def __init__(self, target: str) -> None:
        self.target = target


@pytest_asyncio.fixture
async def sync(api: Client, tmp_path: Path) -> AsyncIterator[SyncHarness]:
    at: Any = AtPort(api.target)
    harness = SyncHarness(tmp_path / "sync", at, ingest_target=api.target, erasing_every=0.01)
    await harness.start()
    yield harness
    await harness.stop()


def viewers(api: Client, name: str = "viewers") -> str:
    return str(api.call("CreateCohort", {"cohort": {"name": name, "rule": did()}})["cohort"]["cohortId"])


def unacknowledged(api: Client) -> list[Json]:
    """Return the erasures that some destination has not acknowledged."""
    listed = api.call("ListErasures").get("erasures", [])
    return [one for one in listed if not one.get("acknowledged")]


async def erased(api: Client) -> None:
    """Erase the customer and wait until that is acknowledged everywhere."""
    api.call("DeleteCustomers", {"customerIds": [ERASED]})
    await until(lambda: not unacknowledged(api))


def left_of(folder: Path) -> set[str]:
    data = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return {each for each in TRACES if each.encode() in data}


async def test_without_any_sync_an_erasure_is_confirmed(api: Client, sync: SyncHarness) -> None:
    await erased(api)


@pytest.mark.parametrize("mode", ["MIRROR", "ADD_ONLY"])
@pytest.mark.parametrize("paused", [False, True])
async def test_a_webhook_is_told_to_remove_an_erased_customer(
    api: Client, sync: SyncHarness, receiver: WebhookReceiver, mode: str, paused: bool
) -> None:
    made = await sync.sync(viewers(api), await sync.webhook(receiver), mode=mode, maxRemoveFraction=0.0)
    await sync.run(made["syncId"])
    assert set(receiver.members(made["syncId"])) == {"ann", "bob", ERASED}
    if paused:
        await sync.call("PauseSync", {"syncId": made["syncId"]})
    await erased(api)
    assert set(receiver.members(made["syncId"])) == {"ann", "bob"}
    last = receiver.calls[-1].body
    assert last["removes"] == [{"customerId": ERASED}]
    assert last["cohortName"] == "viewers"
    run = await sync.run(made["syncId"])
    assert (run.get("plannedAdds", 0), run.get("plannedRemoves", 0)) == (0, 0)


async def test_a_destination_that_does_not_answer_holds_up_no_other_and_is_said_to_be_at_work(
    api: Client, sync: SyncHarness, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "SOON_SECONDS", 0.05)
    with WebhookReceiver() as silent:
        hook = {"destination": {"name": "silent", "webhook": {"url": silent.url}}}
        made = (await sync.call("CreateDestination", hook))["destination"]["destinationId"]
        stuck = await sync.sync(viewers(api), made)
        healthy = await sync.sync(viewers(api, "again"), await sync.webhook(receiver))
        for each in (stuck, healthy):
            await sync.run(each["syncId"])
        silent.misbehave(Answer(hang=True))
        api.call("DeleteCustomers", {"customerIds": [ERASED]})
        await until(lambda: set(receiver.members(healthy["syncId"])) == {"ann", "bob"})

        def waits() -> Json:
            [listed] = api.call("ListErasures")["erasures"]
            return dict(listed.get("waitsFor", [{}])[0])

        await until(lambda: waits().get("reason") == "IN_PROGRESS")
        assert waits()["destinationName"] == "silent"
        silent.release()
        await until(lambda: not unacknowledged(api))
        assert set(silent.members(stuck["syncId"])) == {"ann", "bob"}


async def test_a_customer_is_removed_though_the_cohort_is_deleted(
    api: Client, sync: SyncHarness, receiver: WebhookReceiver
) -> None:
    cohort_id = viewers(api)
    made = await sync.sync(cohort_id, await sync.webhook(receiver))
    await sync.run(made["syncId"])
    api.call("DeleteCohort", {"cohortId": cohort_id})
    await erased(api)
    assert set(receiver.members(made["syncId"])) == {"ann", "bob"}


async def test_a_plugin_gets_what_was_uploaded_to_remove_by(api: Client, sync: SyncHarness) -> None:
    async with plugin() as plugged:
        settings = {"grpc": {"target": plugged.target}}
        made = await sync.call("CreateDestination", {"destination": {"name": "plug", **settings}})
        synced = await sync.sync(viewers(api), made["destination"]["destinationId"])
        await sync.run(synced["syncId"])
        await erased(api)
        [removed] = plugged.requests[-1].removes
        assert (removed.customer_id, dict(removed.data)) == (ERASED, {"email": "erased@example.com"})
        assert set(plugged.members(plugged.audiences[0])) == {"ann", "bob"}


@pytest.mark.parametrize("file_format", ["CSV", "JSON_LINES", "PARQUET"])
async def test_a_file_is_written_again_without_the_customer(
    api: Client, sync: SyncHarness, tmp_path: Path, file_format: str
) -> None:
    path = tmp_path / "members"
    made = await sync.sync(viewers(api), await sync.file(path, file_format))
    await sync.run(made["syncId"])
    await sync.call("PauseSync", {"syncId": made["syncId"]})
    before = rows_of(path, file_format)
    assert {row["customerId"] for row in before} == {"ann", "bob", ERASED}
    await erased(api)
    assert rows_of(path, file_format) == [row for row in before if row["customerId"] != ERASED]


def rows_of(path: Path, file_format: str) -> list[Json]:
    if file_format == "CSV":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    if file_format == "PARQUET":
        return list(parquet.read_table(path).to_pylist())
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("file_format", ["CSV", "JSON_LINES", "PARQUET"])
async def test_a_file_on_a_storage_server_is_written_again_without_the_customer(
    api: Client, sync: SyncHarness, file_format: str
) -> None:
    storage, url = fsspec.filesystem("memory"), f"memory://erasing/{file_format}/members"
    made = await sync.sync(viewers(api), await sync.file(url, file_format))
    try:
        await sync.run(made["syncId"])
        assert b"ann" in storage.cat_file(url)
        assert ERASED.encode() in storage.cat_file(url)
        await erased(api)
        assert b"ann" in storage.cat_file(url)
        assert not [each for each in TRACES if each.encode() in storage.cat_file(url)]
        assert storage.find("/erasing") == [f"/erasing/{file_format}/members"], "nothing else is left there"
    finally:
        storage.rm("/erasing", recursive=True)


async def test_an_audience_loses_what_was_uploaded_though_the_profile_is_another_by_now(
    api: Client, sync: SyncHarness, graph: GraphApi
) -> None:
    made = await sync.sync(viewers(api), await sync.facebook(graph))
    await sync.run(made["syncId"])
    [audience] = graph.audiences
    addresses = ("ann@example.com", "bob@example.com", "erased@example.com")
    hashes = {hashlib.sha256(address.encode()).hexdigest() for address in addresses}
    assert graph.values(audience.audience_id, "EMAIL") == hashes
    data = {"email": "moved@example.com"}
    api.call("UpsertCustomers", {"customers": [{"customerId": ERASED, "data": data}]})
    await erased(api)
    left = hashes - {hashlib.sha256(b"erased@example.com").hexdigest()}
    assert graph.values(audience.audience_id, "EMAIL") == left
    assert [(call.method, call.rows) for call in graph.uploads()] == [("POST", 3), ("DELETE", 1)]


async def test_who_is_erased_twice_with_a_new_customer_between_leaves_for_good(
    api: Client, sync: SyncHarness, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    made = await sync.sync(viewers(api), await sync.webhook(receiver))
    await sync.run(made["syncId"])
    await sync.stop()
    for number in range(2):
        api.call("DeleteCustomers", {"customerIds": [ERASED]})
        api.call("Compact")
        api.send(event(ERASED, eventId=f"again-{number}"))
    api.call("DeleteCustomers", {"customerIds": [ERASED]})
    assert [one["customerId"] for one in unacknowledged(api)] == [ERASED] * 3
    await sync.start()
    await until(lambda: not unacknowledged(api))
    assert set(receiver.members(made["syncId"])) == {"ann", "bob"}
    assert [page["removes"] for page in receiver.pages if page["removes"]] == [[{"customerId": ERASED}]]
    api.call("Compact")
    assert left_of(tmp_path) == set()
    run = await sync.run(made["syncId"])
    assert (run.get("plannedAdds", 0), run.get("plannedRemoves", 0)) == (0, 0)


async def test_while_a_destination_fails_the_erasure_stays_listed(
    api: Client, sync: SyncHarness, receiver: WebhookReceiver
) -> None:
    made = await sync.sync(viewers(api), await sync.webhook(receiver))
    await sync.run(made["syncId"])
    calls = len(receiver.calls)
    receiver.misbehave(*[Answer(status=500)] * 7)
    api.call("DeleteCustomers", {"customerIds": [ERASED]})
    await until(lambda: len(receiver.calls) >= calls + 4)
    listed = api.call("ListErasures").get("erasures", [])
    assert [one["customerId"] for one in listed] == [ERASED]
    await until(lambda: not unacknowledged(api))
    assert set(receiver.members(made["syncId"])) == {"ann", "bob"}


def waits(api: Client) -> list[Json]:
    """Return what the one erasure that is listed waits for."""
    [listed] = api.call("ListErasures")["erasures"]
    found: list[Json] = listed["waitsFor"]
    return found


@pytest.mark.parametrize(("status", "reason"), [(500, "UNREACHABLE"), (400, "REFUSED")])
async def test_the_list_names_the_destination_that_keeps_the_customer(
    api: Client, sync: SyncHarness, receiver: WebhookReceiver, status: int, reason: str
) -> None:
    cohort_id = viewers(api)
    other = await sync.sync(cohort_id, await sync.file(sync.data_dir.parent / "members.csv"))
    made = await sync.sync(cohort_id, await sync.webhook(receiver))
    for each in (other, made):
        await sync.run(each["syncId"])
    receiver.misbehave(*[Answer(status=status)] * 10_000)
    api.call("DeleteCustomers", {"customerIds": [ERASED]})
    wait = {"syncId": made["syncId"], "destinationId": made["destinationId"], "destinationName": "hook"}
    await until(lambda: waits(api) == [{**wait, "reason": reason}])


async def test_a_destination_that_fails_in_no_way_foreseen_holds_up_no_other(
    api: Client, sync: SyncHarness, receiver: WebhookReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    cohort_id, path = viewers(api), tmp_path / "members.csv"
    made = await sync.sync(cohort_id, await sync.webhook(receiver))
    for each in (made, await sync.sync(cohort_id, await sync.file(path))):
        await sync.run(each["syncId"])
    with monkeypatch.context() as patched:
        patched.setattr("services.sync.destinations.webhook.WebhookTarget.send", broken)
        api.call("DeleteCustomers", {"customerIds": [ERASED]})
        await until(lambda: [wait["reason"] for wait in waits(api)] == ["FAILED"])
        await until(lambda: ERASED not in path.read_text())
    await until(lambda: not unacknowledged(api))
    assert set(receiver.members(made["syncId"])) == {"ann", "bob"}


async def test_a_run_under_way_that_adds_the_customer_is_waited_for(
    api: Client, sync: SyncHarness, receiver: WebhookReceiver
) -> None:
    made = await sync.sync(viewers(api), await sync.webhook(receiver))
    receiver.misbehave(Answer(hang=True))
    run = (await sync.call("RunSync", {"syncId": made["syncId"]}))["run"]
    await until(lambda: receiver.calls)
    api.call("DeleteCustomers", {"customerIds": [ERASED]})
    await until(lambda: [wait["reason"] for wait in waits(api)] == ["RUN_UNDER_WAY"])
    receiver.release()
    await sync.ended(run["runId"])
    await until(lambda: not unacknowledged(api))
    assert set(receiver.members(made["syncId"])) == {"ann", "bob"}


async def test_who_comes_back_under_an_erased_id_is_added_anew(
    api: Client, sync: SyncHarness, receiver: WebhookReceiver
) -> None:
    made = await sync.sync(viewers(api), await sync.webhook(receiver))
    await sync.run(made["syncId"])
    await erased(api)
    api.send(event(ERASED, eventId="new"))
    await sync.run(made["syncId"])
    assert set(receiver.members(made["syncId"])) == {"ann", "bob", ERASED}


async def test_no_byte_is_left_in_any_folder_once_all_have_acknowledged(
    api: Client, sync: SyncHarness, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    async with plugin() as plugged:
        settings = {"grpc": {"target": plugged.target}}
        made = await sync.call("CreateDestination", {"destination": {"name": "plug", **settings}})
        cohort_id = viewers(api)
        listed = {"name": "listed", "static": True, "customerIds": [ERASED, "ann"]}
        static_id = api.call("CreateCohort", {"cohort": listed})["cohort"]["cohortId"]
        file, other = [await sync.file(tmp_path / name, name=name) for name in ("members.csv", "listed.csv")]
        both = await sync.webhook(receiver), made["destination"]["destinationId"]
        pairs = [(cohort_id, file), (static_id, other)]  # a file has the members of one cohort
        pairs += [(each, destination) for each in (cohort_id, static_id) for destination in both]
        for each, destination_id in pairs:
            synced = await sync.sync(each, destination_id)
            await sync.run(synced["syncId"])
        assert left_of(tmp_path) == set(TRACES)
        await erased(api)
        api.call("Compact")
        assert left_of(tmp_path) == set()
