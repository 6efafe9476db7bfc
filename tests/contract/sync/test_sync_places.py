"""Where may files lie? Not where another project has its own, not where keys are, whenever it is asked."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest_asyncio

from services.sync.confine import Places
from tests.contract.sync.harness import Json, SyncHarness
from tests.fakes.cohort_service import FakeCohortService

Started = Callable[..., Awaitable[SyncHarness]]


@pytest_asyncio.fixture
async def start(tmp_path: Path, cohorts: FakeCohortService) -> AsyncIterator[Started]:
    """Start the syncs of a project, in place of those that ran."""
    running: list[SyncHarness] = []

    async def started(project: str, places: Places) -> SyncHarness:
        for harness in running:
            await harness.stop()
        running[:] = [SyncHarness(tmp_path / "data", cohorts, project_id=project, places=places)]
        await running[0].start()
        return running[0]

    yield started
    for harness in running:
        await harness.stop()


def settings(path: Path) -> Json:
    return {"destination": {"name": path.name, "file": {"path": str(path), "format": "CSV"}}}


async def refused(sync: SyncHarness, path: Path) -> bool:
    failure = await sync.failure("CreateDestination", settings(path))
    assert failure.violations[0][0] == "destination.file.path"
    return failure.reason == "INVALID_PATH"


async def test_the_first_project_writes_neither_where_tenants_do_nor_where_keys_are(
    start: Started, tmp_path: Path
) -> None:
    tenants, key, pem = tmp_path / "tenants", tmp_path / "master.key", tmp_path / "tls" / "key.pem"
    for folder in (tenants / "acme", pem.parent):
        folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tenants)
    sync = await start("default", Places(tenants=tenants, kept=(key, pem)))
    for path in (tenants / "acme" / "out.csv", tenants / "x", key, pem, tmp_path / "link" / "acme" / "x"):
        assert await refused(sync, path)
    await sync.call("CreateDestination", settings(tmp_path / "elsewhere.csv"))
    await sync.call("CreateDestination", settings(pem.with_name("out.csv")))


async def test_the_first_project_may_be_given_one_folder(start: Started, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    sync = await start("default", Places(first=folder))
    for path in (tmp_path / "out.csv", folder, folder / ".." / "x.csv"):
        assert await refused(sync, path)
    assert (
        await sync.failure(
            "CreateDestination",
            {"destination": {"name": "x", "file": {"path": "s3://bucket/x", "format": "CSV"}}},
        )
    ).reason == "INVALID_PATH"
    await sync.call("CreateDestination", settings(folder / "sub" / "out.csv"))


async def test_a_tenants_folder_must_be_there_and_is_no_file_itself(start: Started, tmp_path: Path) -> None:
    sync = await start("acme", Places(tenants=tmp_path))
    assert await refused(sync, tmp_path / "acme")
    assert await refused(sync, tmp_path / "acme" / "out.csv")
    (tmp_path / "acme").mkdir()
    assert await refused(sync, tmp_path / "acme")
    await sync.call("CreateDestination", settings(tmp_path / "acme" / "out.csv"))


async def test_it_is_asked_at_each_run_again(
    start: Started, tmp_path: Path, cohorts: FakeCohortService
) -> None:
    inside = tmp_path / "files" / "acme" / "sub"
    inside.mkdir(parents=True)
    others = tmp_path / "files" / "beta"
    others.mkdir()
    (others / "out.csv").write_text("beta's own")
    places = Places(tenants=tmp_path / "files")
    sync = await start("acme", places)
    made = await sync.call("CreateDestination", settings(inside / "out.csv"))
    destination_id = made["destination"]["destinationId"]
    sync_id = (await sync.sync(cohorts.add_cohort("C", ["ann"]), destination_id))["syncId"]
    assert (await sync.run(sync_id))["state"] == "SUCCEEDED"

    (inside / "out.csv").unlink()
    inside.rmdir()
    inside.symlink_to(others)
    assert (await sync.run(sync_id))["state"] == "FAILED"
    assert not (await sync.call("TestDestination", {"destinationId": destination_id})).get("ok")
    assert (others / "out.csv").read_text() == "beta's own"
    inside.unlink()
    inside.mkdir()
    sync = await start("acme", Places())
    run = await sync.run(sync_id)
    assert (run["state"], "--tenant-files" in run["error"]) == ("FAILED", True)
    assert not (inside / "out.csv").exists()
