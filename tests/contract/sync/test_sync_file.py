"""Does a file hold the full member set of the last run that succeeded, whole, at every moment?"""

import csv
import io
import json
import os
import tempfile

import fsspec
import pyarrow.parquet
import pytest

from services.sync import store
from services.sync.destinations import file_places
from tests.contract.sync.test_sync_webhook import counts


async def test_csv_has_a_column_for_every_attribute_and_quotes_what_must_be(sync, cohorts, tmp_path):
    cohorts.profiles["ann"] = {"city": 'Pu"ne, MH', "visits": 3.0, "vip": True}
    cohorts.profiles["bob"] = {"note": "two\nlines", "score": 0.1, "customerId": "not an id"}
    cohort_id = cohorts.add_cohort("C", ["ann", "bob", "cem"])
    path = tmp_path / "members.csv"
    sync_id = (await sync.sync(cohort_id, await sync.file(path)))["syncId"]
    run = await sync.run(sync_id)
    assert (run["plannedAdds"], run["deliveredAdds"], run["batches"], run["attempts"]) == (3, 3, 1, 1)
    with path.open(newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["customerId", "city", "data.customerId", "note", "score", "vip", "visits"],
            ["ann", 'Pu"ne, MH', "", "", "", "true", "3"],
            ["bob", "", "not an id", "two\nlines", "0.1", "", ""],
            ["cem", "", "", "", "", "", ""],
        ]


async def test_json_lines_hold_the_full_set_each_run_and_the_run_counts_the_difference(
    sync, cohorts, tmp_path
):
    cohorts.profiles["ann"] = {"visits": 3.0, "city": "pune"}
    cohort_id = cohorts.add_cohort("C", ["ann", "bob"])
    path = tmp_path / "members.jsonl"
    sync_id = (await sync.sync(cohort_id, await sync.file(path, "JSON_LINES")))["syncId"]
    await sync.run(sync_id)
    assert path.read_text() == (
        '{"customerId":"ann","data":{"city":"pune","visits":3}}\n{"customerId":"bob","data":{}}\n'
    )
    await sync.restart()
    cohorts.renumber()
    cohorts.cohorts[cohort_id].members = {"bob", "cem", "dee"}
    run = await sync.run(sync_id)
    assert (run["plannedAdds"], run["plannedRemoves"]) == (2, 1)
    assert (run["deliveredAdds"], run["deliveredRemoves"]) == (2, 1)
    ids = {json.loads(line)["customerId"] for line in path.read_text().splitlines()}
    assert ids == {"bob", "cem", "dee"}
    cohorts.cohorts[cohort_id].members = set()
    await sync.run(sync_id)
    assert path.read_text() == ""
    assert sorted(os.listdir(tmp_path)) == ["data", "members.jsonl"]


async def test_a_file_that_was_noted_before_a_kill_keeps_its_figures(sync, cohorts, tmp_path, monkeypatch):
    cohort_id = cohorts.add_cohort("C", ["ann", "bob", "cem"])
    sync_id = (await sync.sync(cohort_id, await sync.file(tmp_path / "members.csv")))["syncId"]
    await sync.run(sync_id)
    cohorts.cohorts[cohort_id].members = {"cem", "dee"}
    run = await sync.cut_off_at_the_end(sync_id, monkeypatch)
    assert (run["state"], counts(run)) == ("SUCCEEDED", (1, 2, 1, 2))


async def test_a_run_that_fails_leaves_the_file_before_as_it_was(sync, cohorts, tmp_path):
    cohort_id = cohorts.add_cohort("C", [f"c-{n:05}" for n in range(6000)])
    folder = tmp_path / "out"
    path = folder / "members.csv"
    destination_id = await sync.file(path)
    sync_id = (await sync.sync(cohort_id, destination_id))["syncId"]
    failed = await sync.run(sync_id)
    assert failed["state"] == "FAILED"
    assert "No such file or directory" in failed["error"]
    tested = await sync.call("TestDestination", {"destinationId": destination_id})
    assert not tested.get("ok")
    folder.mkdir()
    assert (await sync.call("TestDestination", {"destinationId": destination_id}))["ok"]
    assert os.listdir(folder) == []
    await sync.run(sync_id)
    os.chmod(path, 0o640)
    before = path.read_bytes()
    cohorts.cohorts[cohort_id].members.add("new")
    cohorts.epoch_ends_after = 5000
    failed = await sync.run(sync_id)
    assert failed["state"] == "FAILED"
    assert failed.get("deliveredAdds", 0) == 0
    assert path.read_bytes() == before
    assert os.listdir(folder) == ["members.csv"]
    run = await sync.run(sync_id)
    assert (run["state"], run["deliveredAdds"]) == ("SUCCEEDED", 1)
    assert len(path.read_text().splitlines()) == 6002
    assert path.stat().st_mode & 0o777 == 0o640


async def test_a_file_cannot_lie_in_the_data_folder(sync):
    settings = {"path": str(sync.data_dir / "sync" / "data.mdb"), "format": "CSV"}
    refused = await sync.failure("CreateDestination", {"destination": {"name": "x", "file": settings}})
    assert refused.violations[0][0] == "destination.file.path"


async def test_parquet_has_a_column_of_one_kind_for_every_attribute(sync, cohorts, tmp_path):
    cohorts.profiles["ann"] = {"city": "Pune", "visits": 3.0, "vip": True, "score": 1.5, "mixed": "x"}
    cohorts.profiles["bob"] = {"visits": 4.0, "score": 2.0, "mixed": True, "customerId": "not an id"}
    cohorts.profiles["cem"] = {"mixed": 7.0}
    cohort_id = cohorts.add_cohort("C", ["ann", "bob", "cem"])
    path = tmp_path / "members.parquet"
    sync_id = (await sync.sync(cohort_id, await sync.file(path, "PARQUET")))["syncId"]
    run = await sync.run(sync_id)
    assert (run["state"], run["deliveredAdds"]) == ("SUCCEEDED", 3)
    table = pyarrow.parquet.read_table(path)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds == {
        "customerId": "string",
        "city": "string",
        "data.customerId": "string",
        "mixed": "string",
        "score": "double",
        "vip": "bool",
        "visits": "int64",
    }
    assert table.column("customerId").to_pylist() == ["ann", "bob", "cem"]
    assert table.column("visits").to_pylist() == [3, 4, None]
    assert table.column("score").to_pylist() == [1.5, 2.0, None]
    assert table.column("mixed").to_pylist() == ["x", "true", "7"]
    assert table.column("vip").to_pylist() == [True, None, None]
    cohorts.cohorts[cohort_id].members = set()
    await sync.run(sync_id)
    assert pyarrow.parquet.read_table(path).num_rows == 0


@pytest.mark.parametrize("file_format", ["CSV", "JSON_LINES", "PARQUET"])
async def test_a_file_elsewhere_is_put_there_whole_by_its_url(sync, cohorts, file_format):
    storage = fsspec.filesystem("memory")
    cohorts.profiles["ann"] = {"city": "Pune"}
    cohort_id = cohorts.add_cohort("C", ["ann", "bob"])
    url = f"memory://bucket/{cohort_id}-{file_format}/members"
    destination_id = await sync.file(url, file_format)
    tested = await sync.call("TestDestination", {"destinationId": destination_id})
    assert tested == {"ok": True, "message": "memory://bucket can be written to"}
    assert storage.find("/bucket") == [], "nothing is left of the trial"
    sync_id = (await sync.sync(cohort_id, destination_id))["syncId"]
    await sync.run(sync_id)
    content = storage.cat_file(url)
    if file_format == "PARQUET":
        rows = pyarrow.parquet.read_table(io.BytesIO(content)).column("customerId").to_pylist()
        assert rows == ["ann", "bob"]
    else:
        expected = {
            "CSV": b"customerId,city\r\nann,Pune\r\nbob,\r\n",
            "JSON_LINES": b'{"customerId":"ann","data":{"city":"Pune"}}\n{"customerId":"bob","data":{}}\n',
        }
        assert content == expected[file_format]
    storage.rm("/bucket", recursive=True)


async def test_a_file_url_of_this_machine_is_a_path(sync, cohorts, tmp_path):
    cohort_id = cohorts.add_cohort("C", ["ann"])
    path = tmp_path / "members.csv"
    sync_id = (await sync.sync(cohort_id, await sync.file(f"file://{path}")))["syncId"]
    await sync.run(sync_id)
    assert path.read_bytes() == b"customerId\r\nann\r\n"
    data = {"path": f"file://{sync.data_dir}/sync/x.csv", "format": "CSV"}
    refused = await sync.failure("CreateDestination", {"destination": {"name": "x", "file": data}})
    assert refused.violations[0][0] == "destination.file.path"


async def test_storage_that_fails_is_told_by_kind_and_not_in_its_words(sync, cohorts, monkeypatch):
    def broken(self, *arguments, **options):
        raise RuntimeError("canary-secret of the storage")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "put_file", broken)
    cohort_id = cohorts.add_cohort("C", ["ann"])
    sync_id = (await sync.sync(cohort_id, await sync.file("memory://bucket/members.csv")))["syncId"]
    run = await sync.run(sync_id)
    assert (run["state"], run.get("deliveredAdds", 0)) == ("FAILED", 0)
    assert "RuntimeError" in run["error"]
    assert "canary" not in str(run)


async def test_storage_whose_library_is_missing_says_which(sync, cohorts):
    destination_id = await sync.file("s3://bucket/members.csv")
    tested = await sync.call("TestDestination", {"destinationId": destination_id})
    assert not tested.get("ok")
    assert tested["message"].startswith("s3:// needs ")


async def test_a_file_is_written_by_one_sync_however_its_path_is_spelt(sync, cohorts, tmp_path):
    first, second = cohorts.add_cohort("A", ["ann"]), cohorts.add_cohort("B", ["bob"])
    held = await sync.file(tmp_path / "out.csv")
    holder = (await sync.sync(first, held))["syncId"]
    spelt = await sync.file(f"file://{tmp_path}/sub/../out.csv", name="again")
    for destination_id in (held, spelt):
        asked = {"cohortId": second, "destinationId": destination_id, "schedule": {"hourly": {}}}
        refused = await sync.failure("CreateSync", {"sync": asked})
        assert (refused.code.name, refused.reason) == ("FAILED_PRECONDITION", "FILE_IN_USE")
        assert holder in refused.message
    for odd in ("?x", "#x"):
        settings = {"path": f"file://{tmp_path}/out.csv{odd}", "format": "CSV"}
        refused = await sync.failure("CreateDestination", {"destination": {"name": odd, "file": settings}})
        assert refused.reason == "INVALID_PATH"
    free = await sync.file(tmp_path / "other.csv", name="other")
    await sync.sync(second, free)
    moved = {"destinationId": free, "file": {"path": str(tmp_path / "out.csv"), "format": "CSV"}}
    taken = await sync.failure("UpdateDestination", {"destination": moved, "updateMask": "file"})
    assert taken.reason == "FILE_IN_USE"
    await sync.call("DeleteSync", {"syncId": holder})
    await sync.call("UpdateDestination", {"destination": moved, "updateMask": "file"})


async def test_the_newest_runs_are_kept(sync, cohorts, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "KEPT_RUNS", 3)
    sync_id = (await sync.sync(cohorts.add_cohort("C"), await sync.file(tmp_path / "out.csv")))["syncId"]
    runs = [(await sync.run(sync_id))["runId"] for _ in range(5)]
    listed = (await sync.call("ListSyncRuns", {"syncId": sync_id}))["runs"]
    assert [run["runId"] for run in listed] == runs[:1:-1]
    assert (await sync.failure("GetSyncRun", {"runId": runs[0]})).reason == "RUN_NOT_FOUND"


async def test_what_a_kill_left_beside_a_file_goes_at_the_next_start_or_when_the_file_is_touched(
    sync, cohorts, tmp_path
):
    cohort_id = cohorts.add_cohort("C", ["ann"])
    destination_id = await sync.file(tmp_path / "members.csv")
    sync_id = (await sync.sync(cohort_id, destination_id))["syncId"]
    part = tmp_path / ".members.csv.part"
    part.write_text("customerId\nsomebody who is to be erased")
    await sync.restart()
    assert not part.exists()
    part.write_text("again")
    assert (await sync.run(sync_id))["state"] == "SUCCEEDED"
    assert sorted(os.listdir(tmp_path)) == ["data", "members.csv"]
    for rewrite in (True, False):
        part.write_text("and again")
        place = file_places.place_of(str(tmp_path / ("members.csv" if rewrite else "other.csv")))
        part.rename(part.with_name(".other.csv.part")) if not rewrite else None
        place.rewrite(lambda source, stream: None)
    assert sorted(os.listdir(tmp_path)) == ["data", "members.csv"]


async def test_nothing_but_a_file_is_put_in_the_place_of(sync, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    tested = await sync.call("TestDestination", {"destinationId": await sync.file(tmp_path / "fifo")})
    assert (tested.get("ok", False), "is no file" in tested["message"]) == (False, True)
    (tmp_path / "target").mkdir()
    tested = await sync.call(
        "TestDestination", {"destinationId": await sync.file(tmp_path / "target", name="t")}
    )
    assert (tested.get("ok", False), "is a folder" in tested["message"]) == (False, True)


async def test_a_file_elsewhere_leaves_nothing_in_the_temporary_folder(sync, cohorts, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    seen = []
    storage = type(fsspec.filesystem("memory"))
    put = storage.put_file

    def looking(self, local, path, **options):
        seen.extend(os.listdir(tmp_path / "tmp"))
        put(self, local, path, **options)

    monkeypatch.setattr(storage, "put_file", looking)
    cohort_id = cohorts.add_cohort("C", ["ann"])
    url = "memory://bucket/unnamed.csv"
    sync_id = (await sync.sync(cohort_id, await sync.file(url)))["syncId"]
    assert (await sync.run(sync_id))["state"] == "SUCCEEDED"
    assert fsspec.filesystem("memory").cat_file(url) == b"customerId\r\nann\r\n"
    file_places.place_of(url).rewrite(lambda source, stream: stream.write(source.read().upper()))
    assert fsspec.filesystem("memory").cat_file(url) == b"CUSTOMERID\r\nANN\r\n"
    assert seen == []
    fsspec.filesystem("memory").rm("/bucket", recursive=True)
