"""Secrets of destinations are on the disk sealed alone; keys can change; what an older version left is sealed."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from libs.cli.main import app
from libs.errors import Corrupt
from libs.storage import master_key
from libs.storage.environment import Environment
from libs.storage.master_key import KeyFault, Masters
from services.sync import sealing, store
from services.sync.app import SyncApp
from services.sync.model import Destination, DestinationId, FacebookSettings, WebhookSettings
from tests.contract.sync.harness import SECRET, TOKEN, SyncHarness
from tests.fakes.cohort_service import FakeCohortService
from tests.fakes.graph import GraphApi
from tests.fakes.webhook import WebhookReceiver

HIDDEN = "https://hooks.example.com/T0123/canary-in-the-path"


def found(folder: Path, *secrets: str) -> list[str]:
    """Return the files below a folder that hold a secret, as it is or in base64 as signing secrets are."""
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file()
        for data in [path.read_bytes()]
        if any(secret.removeprefix("whsec_").encode() in data for secret in secrets)
    ]


async def test_no_secret_is_on_the_disk_and_a_restart_uses_them(
    sync: SyncHarness, cohorts: FakeCohortService, receiver: WebhookReceiver, graph: GraphApi
) -> None:
    cohort_id = cohorts.add_cohort("c", ["ann"])
    cohorts.profiles["ann"] = {"email": "ann@example.com"}
    hook = await sync.webhook(receiver)
    ads = await sync.facebook(graph)
    hidden = {"destination": {"name": "h", "webhook": {"url": HIDDEN}}, "requestId": "r"}
    made = await sync.call("CreateDestination", hidden)
    assert await sync.call("CreateDestination", hidden) == made
    syncs = [(await sync.sync(cohort_id, destination))["syncId"] for destination in (hook, ads)]
    for one in syncs:
        assert (await sync.run(one))["state"] == "SUCCEEDED"
    assert found(sync.data_dir, SECRET, TOKEN, HIDDEN) == []
    cohorts.cohorts[cohort_id].members.add("bob")
    cohorts.profiles["bob"] = {"email": "bob@example.com"}
    await sync.restart()
    for one in syncs:
        run = await sync.run(one)
        assert (run["state"], run["deliveredAdds"]) == ("SUCCEEDED", 1)  # signed, and with the token
    assert found(sync.data_dir, SECRET, TOKEN, HIDDEN) == []
    assert (sync.data_dir / "master.key").stat().st_mode & 0o777 == 0o600


async def opened(data_dir: Path, cohorts: FakeCohortService, key: Any = None) -> None:
    app = await SyncApp.open(data_dir, cohorts.target, None, masters=Masters(data_dir, key))
    await app.close()


def new_key() -> master_key.MasterKey:
    return master_key.parse(master_key.new_key(), "test")


async def test_a_wrong_or_missing_key_is_an_error_at_the_start_and_loses_nothing(
    tmp_path: Path, cohorts: FakeCohortService, receiver: WebhookReceiver
) -> None:
    mine = new_key()
    harness = SyncHarness(tmp_path, cohorts, masters=Masters(tmp_path, mine))
    await harness.start()
    await harness.webhook(receiver)
    await harness.stop()
    with pytest.raises(KeyFault, match="the one given"):
        await opened(tmp_path, cohorts, new_key())
    with pytest.raises(KeyFault, match="no master key is given"):
        await opened(tmp_path, cohorts)
    assert not (tmp_path / "master.key").exists()
    await harness.start()
    listed = await harness.call("ListDestinations")
    assert [each["name"] for each in listed["destinations"]] == ["hook"]
    await harness.stop()


def plain_store(data_dir: Path) -> list[Destination]:
    """Leave a store as a version before secrets were sealed did."""
    settings = [WebhookSettings(HIDDEN, SECRET), FacebookSettings("42", TOKEN, ("EMAIL",))]
    kept = [
        Destination(DestinationId(f"dst_{number}"), f"n{number}", each, 1, 2)
        for number, each in enumerate(settings)
    ]
    environment = Environment(data_dir / "sync", "syncs", 1, store.TABLES)
    with environment.write() as txn:
        for one in kept:
            key = one.destination_id.encode()
            txn.put(key, msgspec.msgpack.encode(one), db=environment["destinations"])
            txn.put(one.name.encode(), key, db=environment["destination_names"])
    environment.close()
    return kept


def destinations(data_dir: Path, key: Any = None) -> list[Destination]:
    opened = store.Store(data_dir, Masters(data_dir, key))
    with opened.read() as txn:
        held = [destination for _, destination in opened.destinations(txn, b"")]
    opened.environment.close()
    return held


def test_what_an_older_version_left_is_sealed_and_no_byte_stays(tmp_path: Path) -> None:
    kept = plain_store(tmp_path)
    assert found(tmp_path, SECRET, TOKEN, HIDDEN) == ["data.mdb"]
    assert destinations(tmp_path) == kept
    assert found(tmp_path, SECRET, TOKEN, HIDDEN) == []
    assert destinations(tmp_path) == kept


def test_sealing_that_was_cut_off_before_the_file_was_written_anew_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = plain_store(tmp_path)

    def cut_off(environment: Environment) -> None:
        environment.close()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Environment, "rewrite", cut_off)
        with pytest.raises(KeyboardInterrupt):
            store.Store(tmp_path)
    assert found(tmp_path, SECRET, TOKEN, HIDDEN) == ["data.mdb"]
    assert destinations(tmp_path) == kept
    assert found(tmp_path, SECRET, TOKEN, HIDDEN) == []


def rotate(data_dir: Path, new: Path, *options: str) -> Any:
    arguments = [
        "secrets",
        "rotate",
        "--data-dir",
        str(data_dir),
        "--new-master-key-file",
        str(new),
        *options,
    ]
    return CliRunner().invoke(app, arguments, env={"COHORT_MASTER_KEY": "", "COHORT_MASTER_KEY_FILE": ""})


def key_file(path: Path) -> master_key.MasterKey:
    made = CliRunner().invoke(app, ["secrets", "new-key", "--out", str(path)])
    assert made.exit_code == 0
    return master_key.read_file(path)


def test_keys_are_rotated_and_the_old_one_opens_nothing_that_is_left(tmp_path: Path) -> None:
    data = tmp_path / "data"
    kept = plain_store(data)
    assert destinations(data) == kept
    made = master_key.kept(data)
    one, two = key_file(tmp_path / "one"), key_file(tmp_path / "two")
    wrapped = sealed_data_keys(data)

    done = rotate(data, tmp_path / "one")
    assert (done.exit_code, f"now sealed by master key {one.key_id}" in done.output) == (0, True)
    assert destinations(data, one) == kept
    with pytest.raises(KeyFault):
        store.Store(data, Masters(data, made))
    assert not any(each in (data / "sync" / "data.mdb").read_bytes() for each in wrapped)

    again = rotate(data, tmp_path / "one")
    assert (again.exit_code, "was already" in again.output) == (0, True)
    lost = rotate(data, tmp_path / "two")
    assert (lost.exit_code, f"sealed by master key {one.key_id}" in lost.output) == (1, True)
    assert destinations(data, one) == kept
    assert rotate(data, tmp_path / "two", "--master-key-file", str(tmp_path / "one")).exit_code == 0
    assert destinations(data, two) == kept
    assert two.key_id in CliRunner().invoke(app, ["secrets", "status", "--data-dir", str(data)]).output


def sealed_data_keys(data_dir: Path) -> list[bytes]:
    environment = store.open_environment(data_dir)
    with environment.read() as txn:
        record = txn.get(b"data_key", db=environment.meta)
    environment.close()
    return [bytes(record)[-48:]]


def test_a_server_that_runs_is_not_rotated_under(tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = store.Store(data)
    key_file(tmp_path / "one")
    refused = rotate(data, tmp_path / "one")
    assert (refused.exit_code, "in use by another server" in refused.output) == (1, True)
    running.environment.close()


def test_a_key_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    before = key_file(tmp_path / "one")
    again = CliRunner().invoke(app, ["secrets", "new-key", "--out", str(tmp_path / "one")])
    assert (again.exit_code, master_key.read_file(tmp_path / "one")) == (1, before)
    printed = CliRunner().invoke(app, ["secrets", "new-key"]).output
    assert len(master_key.parse(printed, "test").secret) == master_key.KEY_BYTES


def test_settings_moved_to_another_destination_do_not_open(tmp_path: Path) -> None:
    plain_store(tmp_path)
    opened = store.Store(tmp_path)
    table = opened.environment["destinations"]
    with opened.write() as txn:
        one = msgspec.msgpack.decode(txn.get(b"dst_0", db=table), type=sealing.Kept)
        two = msgspec.msgpack.decode(txn.get(b"dst_1", db=table), type=sealing.Kept)
        swapped = msgspec.structs.replace(one, settings=two.settings)
        txn.put(b"dst_0", msgspec.msgpack.encode(swapped), db=table)
    with pytest.raises(Corrupt, match="changed, moved"), opened.read() as txn:
        opened.destination(txn, "dst_0")
    opened.environment.close()
