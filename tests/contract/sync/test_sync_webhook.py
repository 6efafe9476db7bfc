"""Does a webhook get exactly what changed, whatever happens in between?"""

import asyncio
from pathlib import Path

import pytest

from services.sync.destinations.webhook import WebhookTarget
from tests.contract.sync.harness import SECRET, SyncHarness, until
from tests.fakes.cohort_service import FakeCohortService
from tests.fakes.webhook import Answer, WebhookReceiver


def counts(run: dict) -> tuple[int, int, int, int]:
    return tuple(
        run.get(name, 0) for name in ("plannedAdds", "plannedRemoves", "deliveredAdds", "deliveredRemoves")
    )


def sent(page: dict) -> tuple[list[str], list[str]]:
    return (
        sorted(added["customerId"] for added in page["adds"]),
        sorted(removed["customerId"] for removed in page["removes"]),
    )


async def test_each_run_sends_exactly_the_difference(sync, cohorts, receiver):
    cohorts.profiles["ann"] = {"city": "pune", "visits": 3.0, "score": 1.5, "vip": True}
    cohort_id = cohorts.add_cohort("High spenders", ["ann", "bob", "cem"])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]

    first = await sync.run(sync_id)
    assert first["state"] == "SUCCEEDED"
    assert counts(first) == (3, 0, 3, 0)
    page = receiver.pages[0]
    assert page == {
        "syncId": sync_id,
        "runId": first["runId"],
        "cohortId": cohort_id,
        "cohortName": "High spenders",
        "page": 1,
        "pages": 1,
        "adds": [
            {"customerId": "ann", "data": {"city": "pune", "score": 1.5, "vip": True, "visits": 3}},
            {"customerId": "bob", "data": {}},
            {"customerId": "cem", "data": {}},
        ],
        "removes": [],
    }
    assert receiver.calls[0].verified

    cohorts.cohorts[cohort_id].members = {"ann", "dee"}
    second = await sync.run(sync_id)
    assert counts(second) == (1, 2, 1, 2)
    assert sent(receiver.pages[1]) == (["dee"], ["bob", "cem"])
    assert set(receiver.members(sync_id)) == {"ann", "dee"}

    third = await sync.run(sync_id)
    assert third["state"] == "SUCCEEDED"
    assert counts(third) == (0, 0, 0, 0)
    assert len(receiver.calls) == 2, "nothing to send means no request"

    runs = (await sync.call("ListSyncRuns", {"syncId": sync_id}))["runs"]
    assert [run["runId"] for run in runs] == [third["runId"], second["runId"], first["runId"]]


async def test_pages_hold_a_thousand_customers_adds_and_removes_together(sync, cohorts, receiver):
    old = [f"old-{n:05}" for n in range(1200)]
    cohort_id = cohorts.add_cohort("Many", old)
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    assert (await sync.run(sync_id))["batches"] == 2
    cohorts.cohorts[cohort_id].members = {f"new-{n:05}" for n in range(1300)}
    run = await sync.run(sync_id)
    assert counts(run) == (1300, 1200, 1300, 1200)
    assert (run["batches"], run["attempts"]) == (3, 3)
    pages = receiver.pages[2:]
    assert [(page["page"], page["pages"]) for page in pages] == [(1, 3), (2, 3), (3, 3)]
    assert [(len(page["adds"]), len(page["removes"])) for page in pages] == [(0, 1000), (800, 200), (500, 0)]
    assert set(receiver.members(sync_id)) == cohorts.cohorts[cohort_id].members


async def test_a_restart_in_between_changes_nothing(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("Kept", ["ann", "bob"])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    await sync.run(sync_id)
    before = await sync.call("GetSync", {"syncId": sync_id})
    await sync.restart()
    assert await sync.call("GetSync", {"syncId": sync_id}) == before
    cohorts.cohorts[cohort_id].members = {"bob", "cem"}
    run = await sync.run(sync_id)
    assert counts(run) == (1, 1, 1, 1)
    assert sent(receiver.pages[1]) == (["cem"], ["ann"])


async def test_a_failure_half_way_counts_what_was_acknowledged_and_the_next_run_sends_the_rest(
    sync, cohorts, receiver
):
    cohort_id = cohorts.add_cohort("Many", [f"c-{n:05}" for n in range(2500)])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    receiver.misbehave(Answer(), Answer(500), Answer(503), Answer(500))
    failed = await sync.run(sync_id)
    assert failed["state"] == "FAILED"
    assert counts(failed) == (2500, 0, 1000, 0)
    assert failed["attempts"] == 4
    assert "500" in failed["error"]
    assert "3 times" in failed["error"]
    await sync.restart()
    rest = await sync.run(sync_id)
    assert rest["state"] == "SUCCEEDED"
    assert counts(rest) == (1500, 0, 1500, 0)
    assert len(receiver.pages) == 3
    assert len(receiver.members(sync_id)) == 2500


async def test_retries_repeat_the_same_page_under_the_same_id(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("Few", ["ann"])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    receiver.misbehave(Answer(500), Answer(429, retry_after="0"))
    run = await sync.run(sync_id)
    assert run["state"] == "SUCCEEDED"
    assert run["attempts"] == 3
    calls = receiver.calls
    assert len({call.headers["webhook-id"] for call in calls}) == 1
    assert calls[0].body == calls[1].body == calls[2].body
    assert all(call.verified for call in calls)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(400), "400 Bad Request"),
        (Answer(302, location="http://127.0.0.1:1/"), "redirects are not followed"),
        (Answer(429, retry_after="86400"), "left alone"),
    ],
)
async def test_what_will_not_pass_is_not_tried_again(sync, cohorts, receiver, answer, said):
    cohort_id = cohorts.add_cohort("Few", ["ann"])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    receiver.misbehave(answer)
    run = await sync.run(sync_id)
    assert run["state"] == "FAILED"
    assert said in run["error"]
    assert len(receiver.calls) == 1


async def test_a_new_epoch_renumbers_everybody_and_sends_only_real_changes(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("Many", [f"c-{n:05}" for n in range(2200)])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    await sync.run(sync_id)
    cohorts.renumber()
    assert counts(await sync.run(sync_id)) == (0, 0, 0, 0)
    cohorts.renumber()
    cohorts.cohorts[cohort_id].members -= {"c-00007", "c-02199"}
    cohorts.cohorts[cohort_id].members.add("new")
    run = await sync.run(sync_id)
    assert counts(run) == (1, 2, 1, 2)
    assert sent(receiver.pages[-1]) == (["new"], ["c-00007", "c-02199"])
    assert set(receiver.members(sync_id)) == cohorts.cohorts[cohort_id].members
    assert counts(await sync.run(sync_id)) == (0, 0, 0, 0)


async def test_an_erased_customer_is_removed_by_id_though_nobody_can_name_the_number(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("Few", ["ann", "bob"])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    await sync.run(sync_id)
    cohorts.erase("ann")
    run = await sync.run(sync_id)
    assert counts(run) == (0, 1, 0, 1)
    assert sent(receiver.pages[-1]) == ([], ["ann"])


async def test_a_customer_erased_and_come_back_between_runs_is_no_change(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("Few", ["ann", "bob"])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    await sync.run(sync_id)
    cohorts.erase("ann")
    cohorts.cohorts[cohort_id].members.add("ann")
    assert counts(await sync.run(sync_id)) == (0, 0, 0, 0)


async def test_a_member_erased_before_its_delivery_is_told_as_such(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("Few", [f"c-{n}" for n in range(10)])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    cohorts.erase_on_resolve = "c-4"
    run = await sync.run(sync_id)
    assert run["state"] == "PARTIAL"
    assert run["rejected"] == [{"reason": "ERASED", "count": 1}]
    assert counts(run) == (10, 0, 9, 0)
    assert counts(await sync.run(sync_id)) == (0, 0, 0, 0)


async def test_a_deleted_cohort_pauses_the_sync_and_removes_nobody(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("Gone", ["ann"])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    await sync.run(sync_id)
    gone = cohorts.cohorts.pop(cohort_id)
    run = await sync.run(sync_id)
    assert run["state"] == "FAILED"
    assert len(receiver.calls) == 1
    paused = (await sync.call("GetSync", {"syncId": sync_id}))["sync"]
    assert (paused["state"], paused["stateReason"]) == ("PAUSED", "COHORT_DELETED")
    assert "nextRunTime" not in paused
    refused = await sync.failure("ResumeSync", {"syncId": sync_id})
    assert refused.code.name == "FAILED_PRECONDITION"
    assert refused.reason == "COHORT_DELETED"
    cohorts.cohorts[cohort_id] = gone
    assert (await sync.call("ResumeSync", {"syncId": sync_id}))["sync"]["state"] == "ACTIVE"


async def test_a_sync_is_shown_paused_as_soon_as_its_cohort_is_deleted(sync, cohorts, receiver):
    kept, gone = cohorts.add_cohort("Kept", ["ann"]), cohorts.add_cohort("Gone", ["ann"])
    destination_id = await sync.webhook(receiver)
    for cohort_id in (kept, gone):
        await sync.sync(cohort_id, destination_id)
    del cohorts.cohorts[gone]
    listed = (await sync.call("ListSyncs", {}))["syncs"]
    assert [(one["state"], one.get("stateReason")) for one in listed] == [
        ("ACTIVE", None),
        ("PAUSED", "COHORT_DELETED"),
    ]
    assert receiver.calls == []


async def test_a_run_that_would_remove_too_many_fails_and_sends_nothing(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("Few", ["a", "b", "c", "d"])
    made = await sync.sync(cohort_id, await sync.webhook(receiver), maxRemoveFraction=0.25)
    await sync.run(made["syncId"])
    cohorts.cohorts[cohort_id].members = {"a", "b", "x"}
    run = await sync.run(made["syncId"])
    assert run["state"] == "FAILED"
    assert "2 of 4" in run["error"]
    assert len(receiver.calls) == 1
    cohorts.cohorts[cohort_id].members = {"a", "b", "c", "x"}
    assert (await sync.run(made["syncId"]))["state"] == "SUCCEEDED"


async def test_only_one_run_at_a_time_and_it_can_be_cancelled_behind_its_batch(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("Many", [f"c-{n:05}" for n in range(2500)])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    receiver.misbehave(Answer(hang=True))
    run_id = (await sync.call("RunSync", {"syncId": sync_id}))["run"]["runId"]
    await until(lambda: receiver.calls)
    second = await sync.failure("RunSync", {"syncId": sync_id})
    assert second.code.name == "FAILED_PRECONDITION"
    assert second.reason == "RUN_IN_PROGRESS"
    assert run_id in second.message
    assert (await sync.failure("DeleteSync", {"syncId": sync_id})).reason == "RUN_IN_PROGRESS"
    await sync.call("CancelSyncRun", {"runId": run_id})
    receiver.release()
    run = await sync.ended(run_id)
    assert run["state"] == "CANCELLED"
    assert counts(run) == (2500, 0, 1000, 0)
    assert (await sync.failure("CancelSyncRun", {"runId": run_id})).reason == "RUN_ENDED"
    assert counts(await sync.run(sync_id)) == (1500, 0, 1500, 0)


async def test_of_many_that_start_a_run_at_once_one_does(sync, cohorts, receiver):
    sync_id = (await sync.sync(cohorts.add_cohort("C", ["ann"]), await sync.webhook(receiver)))["syncId"]
    receiver.misbehave(Answer(hang=True))
    calls = [sync.call("RunSync", {"syncId": sync_id}) for _ in range(8)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    began = [answer for answer in answers if isinstance(answer, dict)]
    assert len(began) == 1
    receiver.release()
    assert (await sync.ended(began[0]["run"]["runId"]))["state"] == "SUCCEEDED"
    assert len(receiver.pages) == 1


async def test_a_stop_lets_the_run_end_its_batch_and_the_next_start_goes_on_with_it(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("Many", [f"c-{n:05}" for n in range(2500)])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    receiver.misbehave(Answer(hang=True))
    run_id = (await sync.call("RunSync", {"syncId": sync_id}))["run"]["runId"]
    await until(lambda: receiver.calls)
    sync.app._runner._stopping = True
    receiver.release()
    await sync.stop()
    assert len(receiver.pages) == 1
    cohorts.cohorts[cohort_id].members -= {"c-02499"}  # the run keeps its plan; the next one takes this off
    await sync.start()
    run = await sync.ended(run_id)
    assert (run["state"], counts(run)) == ("SUCCEEDED", (2500, 0, 2500, 0))
    assert [(page["runId"], page["page"], page["pages"]) for page in receiver.pages] == [
        (run_id, number, 3) for number in (1, 2, 3)
    ]
    assert run["attempts"] == 3
    assert counts(await sync.run(sync_id)) == (0, 1, 0, 1)


async def test_a_run_cut_off_can_be_cancelled_before_it_goes_on(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("Many", [f"c-{n:05}" for n in range(1500)])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    receiver.misbehave(Answer(hang=True))
    run_id = (await sync.call("RunSync", {"syncId": sync_id}))["run"]["runId"]
    await until(lambda: receiver.calls)
    sync.app._runner._stopping = True
    receiver.release()
    await sync.stop()
    await sync.serve()
    await sync.call("CancelSyncRun", {"runId": run_id})
    await sync.app.start()
    run = await sync.ended(run_id)
    assert (run["state"], counts(run)) == ("CANCELLED", (1500, 0, 1000, 0))
    assert counts(await sync.run(sync_id)) == (500, 0, 500, 0)


async def test_a_page_that_was_taken_before_a_kill_and_is_refused_behind_it_is_settled(
    sync, cohorts, receiver
):
    cohort_id = cohorts.add_cohort("C", ["ann", "bob"])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    receiver.misbehave(Answer(503, hang=True, apply=True), Answer(400))
    run_id = (await sync.call("RunSync", {"syncId": sync_id}))["run"]["runId"]
    await until(lambda: receiver.calls)
    for task in sync.app._runner._tasks:
        task.cancel()
    await sync.stop()
    cohorts.erase("bob")
    await sync.start()
    assert (await sync.ended(run_id))["state"] == "FAILED"
    assert set(receiver.members(sync_id)) == {"ann", "bob"}
    assert (await sync.run(sync_id))["state"] == "SUCCEEDED"
    assert set(receiver.members(sync_id)) == {"ann"}


async def test_secrets_are_in_no_answer_error_or_file_name(sync, cohorts, receiver, tmp_path: Path, capfd):
    canary = SECRET.removeprefix("whsec_")
    destination_id = await sync.webhook(receiver)
    listed = await sync.call("ListDestinations")
    shown = await sync.call("GetDestination", {"destinationId": destination_id})
    update = {
        "destination": {"destinationId": destination_id, "webhook": {"signingSecret": f"{SECRET}!"}},
        "updateMask": "webhook.signingSecret",
    }
    bad = await sync.failure("UpdateDestination", update)
    assert bad.violations[0][0] == "destination.webhook.signingSecret"
    receiver.misbehave(Answer(500), Answer(500), Answer(500))
    cohort_id = cohorts.add_cohort("Few", ["canary-customer@example.com"])
    run = await sync.run((await sync.sync(cohort_id, destination_id))["syncId"])
    tested = await sync.call("TestDestination", {"destinationId": destination_id})
    assert tested["ok"]
    assert receiver.pages[-1]["test"] is True
    captured = capfd.readouterr()
    said = f"{listed}{shown}{bad}{run}{tested}{captured.out}{captured.err}"
    assert canary not in said
    assert "canary-customer" not in said
    assert run["state"] == "FAILED"


async def test_a_run_that_fails_inside_tells_where_and_shows_no_customer(
    sync, cohorts, receiver, monkeypatch, capfd
):
    async def broken(self, page):
        raise ValueError(f"cannot send {page.adds}")

    monkeypatch.setattr(WebhookTarget, "send", broken)
    cohort_id = cohorts.add_cohort("C", ["canary-customer@example.com"])
    run = await sync.run((await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"])
    captured = capfd.readouterr()
    assert run["state"] == "FAILED"
    assert "ValueError" in run["error"]
    assert "run.py" in captured.err
    assert "canary-customer" not in f"{run}{captured.out}{captured.err}"


async def test_hosts_on_this_machine_are_refused_unless_allowed(tmp_path, cohorts: FakeCohortService):
    strict = SyncHarness(tmp_path / "strict", cohorts, allow_loopback=False)
    await strict.start()
    try:
        with WebhookReceiver() as receiver:
            for url in (receiver.url, "http://localhost:9/", "http://[::1]:9/", "http://10.0.0.1/"):
                request = {"destination": {"name": "x", "webhook": {"url": url}}}
                failure = await strict.failure("CreateDestination", request)
                assert failure.code.name == "INVALID_ARGUMENT"
                assert failure.violations[0][0] == "destination.webhook.url"
            assert receiver.calls == []
    finally:
        await strict.stop()
