"""Does a file hold the full member set of the last run that succeeded, whole, at every moment?"""

import csv
import json
import os


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
