"""Does a custom audience hold exactly the members who can be matched, whatever the Graph API does?"""

import hashlib
import logging

import pytest

from services.sync.destinations.facebook.target import FacebookTarget
from services.sync.destinations.retrying import Patience
from tests.contract.sync.harness import TOKEN, StepClock, SyncHarness, until
from tests.contract.sync.test_sync_webhook import counts
from tests.fakes.graph import GraphApi, Trouble, error, html, usage

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def people(cohorts, *names: str) -> set[str]:
    """Give each an address of its own and return them."""
    for name in names:
        cohorts.profiles[name] = {"email": f" {name.upper()}@Example.com "}
    return set(names)


def hashes(*names: str) -> set[str]:
    return {sha(f"{name}@example.com") for name in names}


@pytest.fixture
def only(graph):
    """Returns the hashes in the one audience there is."""

    def read(key: str = "EMAIL") -> set[str]:
        (audience,) = graph.audiences
        return graph.values(audience.audience_id, key)

    return read


async def test_the_audience_is_made_under_the_cohorts_name_and_follows_it(sync, cohorts, graph, only):
    cohort_id = cohorts.add_cohort("High spenders", people(cohorts, "ann", "bob", "cem"))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    first = await sync.run(sync_id)
    assert (first["state"], counts(first)) == ("SUCCEEDED", (3, 0, 3, 0))
    assert graph.audiences[0].name == "High spenders"
    assert only() == hashes("ann", "bob", "cem")

    people(cohorts, "dee")
    cohorts.cohorts[cohort_id].members = {"ann", "dee"}
    second = await sync.run(sync_id)
    assert counts(second) == (1, 2, 1, 2)
    assert only() == hashes("ann", "dee")
    assert [(call.method, call.rows) for call in graph.uploads()] == [("POST", 3), ("DELETE", 2), ("POST", 1)]

    calls = len(graph.calls)
    assert counts(await sync.run(sync_id)) == (0, 0, 0, 0)
    assert len(graph.calls) == calls, "nothing to send means no call"


async def test_an_audience_that_was_made_and_not_noted_is_found_again_and_no_other_is_taken(
    sync, cohorts, graph
):
    strangers = [graph.add_audience("42", "C") for _ in range(30)]
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann"))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    graph.misbehave(html(502, apply=True, on="POST customaudiences"))
    assert (await sync.run(sync_id))["state"] == "SUCCEEDED"
    made = [one for one in graph.audiences if one.audience_id not in strangers]
    assert [len(one.rows) for one in made] == [1]


async def test_batches_have_ten_thousand_rows_a_sequence_and_a_last_flag(sync, cohorts, graph, monkeypatch):
    monkeypatch.setattr(FacebookTarget, "page_size", 10)
    names = [f"p{n:02}" for n in range(25)]
    cohort_id = cohorts.add_cohort("C", people(cohorts, *names))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    await sync.run(sync_id)
    cohorts.cohorts[cohort_id].members = people(cohorts, *[f"q{n}" for n in range(12)])
    await sync.run(sync_id)
    told = [
        (call.method, call.session["batch_seq"], call.session["last_batch_flag"], call.rows)
        for call in graph.uploads()
    ]
    assert told == [
        *[("POST", 1, False, 10), ("POST", 2, False, 10), ("POST", 3, True, 5)],
        *[("DELETE", 1, False, 10), ("DELETE", 2, False, 10), ("DELETE", 3, True, 5)],
        *[("POST", 1, False, 5), ("POST", 2, True, 7)],
    ]
    assert len({call.session["session_id"] for call in graph.uploads()}) == 3
    assert {call.session["estimated_num_total"] for call in graph.uploads()} == {25, 12}
    assert all(len(call.url) < 300 for call in graph.calls), "no rows in a URL"


async def test_a_removal_sends_what_was_sent_though_the_address_has_changed_since(sync, cohorts, graph, only):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob"))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    await sync.run(sync_id)
    cohorts.profiles["ann"] = {"email": "new@example.com"}
    cohorts.renumber()
    cohorts.cohorts[cohort_id].members = {"bob"}
    await sync.restart()
    assert counts(await sync.run(sync_id)) == (0, 1, 0, 1)
    assert only() == hashes("bob")


async def test_an_erased_customer_is_taken_off_with_the_row_that_was_sent(sync, cohorts, graph, only):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob"))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    await sync.run(sync_id)
    cohorts.erase("ann")
    del cohorts.profiles["ann"]
    assert counts(await sync.run(sync_id)) == (0, 1, 0, 1)
    assert only() == hashes("bob")


async def test_rows_go_out_as_they_came_in_though_the_keys_were_changed_since(sync, cohorts, graph):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob"))
    destination_id = await sync.facebook(graph, matchKeys=["EMAIL", "EXTERN_ID"])
    sync_id = (await sync.sync(cohort_id, destination_id))["syncId"]
    await sync.run(sync_id)
    change = {"destinationId": destination_id, "facebookAds": {"matchKeys": ["EXTERN_ID"]}}
    await sync.call("UpdateDestination", {"destination": change, "updateMask": "facebookAds.matchKeys"})
    cohorts.cohorts[cohort_id].members = people(cohorts, "cem")
    assert counts(await sync.run(sync_id)) == (1, 2, 1, 2)
    assert graph.people(graph.audiences[0].audience_id) == {frozenset({("EXTERN_ID", "cem")})}


async def test_of_two_with_the_same_address_the_one_who_stays_is_kept(sync, cohorts, graph, only):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob"))
    cohorts.profiles["twin"] = cohorts.profiles["ann"]
    cohorts.cohorts[cohort_id].members.add("twin")
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    await sync.run(sync_id)
    cohorts.cohorts[cohort_id].members.discard("twin")
    assert counts(await sync.run(sync_id)) == (0, 1, 0, 1)
    assert only() == hashes("ann", "bob")
    cohorts.cohorts[cohort_id].members.discard("ann")
    await sync.run(sync_id)
    assert only() == hashes("bob")


async def test_who_cannot_be_matched_is_counted_by_reason_and_sent_when_the_profile_says_more(
    sync, cohorts, graph, only
):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann") | {"bad", "none"})
    cohorts.profiles["bad"] = {"email": "nonsense"}
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    run = await sync.run(sync_id)
    assert (run["state"], counts(run)) == ("PARTIAL", (3, 0, 1, 0))
    assert run["rejected"] == [{"reason": "INVALID", "count": 1}, {"reason": "UNMATCHED", "count": 1}]
    people(cohorts, "bad", "none")
    run = await sync.run(sync_id)
    assert (run["state"], counts(run)) == ("SUCCEEDED", (2, 0, 2, 0))
    assert only() == hashes("ann", "bad", "none")


@pytest.mark.parametrize("samples", [True, False])
@pytest.mark.parametrize("cumulative", [True, False])
async def test_rows_that_meta_refuses_are_not_counted_and_not_sent_again_unchanged(
    sync, cohorts, graph, only, monkeypatch, samples, cumulative
):
    monkeypatch.setattr(FacebookTarget, "page_size", 20)
    graph.samples, graph.cumulative = samples, cumulative
    names = [f"p{n:02}" for n in range(50)]
    cohort_id = cohorts.add_cohort("C", people(cohorts, *names))
    refused = ["p03", "p17", "p18", "p41"]
    graph.refuse = hashes(*refused)
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    run = await sync.run(sync_id)
    assert (run["state"], counts(run)) == ("PARTIAL", (50, 0, 46, 0))
    assert run["rejected"] == [{"reason": "REFUSED", "count": 4}]
    assert only() == hashes(*names) - graph.refuse

    uploads = len(graph.uploads())
    again = await sync.run(sync_id)
    assert (again["state"], counts(again)) == ("PARTIAL", (4, 0, 0, 0))
    assert again["rejected"] == [{"reason": "REFUSED", "count": 4}]
    assert len(graph.uploads()) == uploads

    cohorts.profiles["p03"] = {"email": "better@example.com"}
    changed = await sync.run(sync_id)
    assert counts(changed) == (4, 0, 1, 0)
    assert changed["rejected"] == [{"reason": "REFUSED", "count": 3}]
    assert sha("better@example.com") in only()


@pytest.mark.parametrize(
    "troubles",
    [
        [error(2, status=500, transient=True), error(1, status=503)],
        [html(502, on="POST users"), html(200, on="POST users")],
        [html(502, apply=True, on="POST users"), html(504, apply=True, on="POST users")],
        [error(80003, status=400), error(17), error(613, headers={"Retry-After": "1"})],
    ],
    ids=["errors", "pages", "applied", "throttled"],
)
async def test_what_passes_is_tried_again_under_the_same_session_and_sequence(
    sync, cohorts, graph, only, troubles
):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob"))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    cohorts.cohorts[cohort_id].members = {"ann"}
    await sync.run(sync_id)
    cohorts.cohorts[cohort_id].members = {"ann", "bob"}
    sent = len(graph.uploads())
    graph.misbehave(*troubles[:2])
    run = await sync.run(sync_id)
    assert (run["state"], counts(run)) == ("SUCCEEDED", (1, 0, 1, 0))
    tries = graph.uploads()[sent:]
    assert len(tries) == 3
    assert len({(str(call.session), call.rows) for call in tries}) == 1
    assert run["attempts"] == 3
    assert only() == hashes("ann", "bob")


@pytest.mark.parametrize("apply", [True, False])
async def test_a_call_that_is_not_answered_is_made_again(tmp_path, cohorts, graph, only, apply):
    patience = Patience(attempts=3, shortest_wait=0, longest_wait=0, timeout=5, upload_timeout=0.3)
    harness = SyncHarness(tmp_path / "impatient", cohorts, patience=patience)
    await harness.start()
    try:
        cohort_id = cohorts.add_cohort("C", people(cohorts, "ann"))
        sync_id = (await harness.sync(cohort_id, await harness.facebook(graph)))["syncId"]
        graph.misbehave(Trouble(hang=True, apply=apply, on="POST users"))
        run = await harness.run(sync_id)
        assert (run["state"], counts(run)) == ("SUCCEEDED", (1, 0, 1, 0))
        assert only() == hashes("ann")
    finally:
        graph.release()
        await harness.stop()


@pytest.mark.parametrize(
    ("trouble", "reason", "said"),
    [
        (error(190, 463, message=f"expired {TOKEN}"), "TOKEN_INVALID", "get a new one"),
        (error(100, 1713230), "AUDIENCE_BLOCKED", "blocked"),
        (error(200), "PERMISSION_MISSING", "right to manage"),
        (error(294), "PERMISSION_MISSING", "ads_management"),
        (error(368), "ACCOUNT_RESTRICTED", "Account Quality"),
        (error(2655), "TERMS_NOT_ACCEPTED", "terms"),
        (error(100, 33), "AUDIENCE_GONE", "does not exist"),
    ],
)
async def test_what_a_person_must_put_right_pauses_the_sync_with_the_reason(
    sync, cohorts, graph, only, trouble, reason, said
):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann"))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    graph.misbehave(trouble)
    run = await sync.run(sync_id)
    assert run["state"] == "FAILED"
    assert said in run["error"]
    assert run["attempts"] == 1, "not tried again"
    paused = (await sync.call("GetSync", {"syncId": sync_id}))["sync"]
    assert (paused["state"], paused["stateReason"]) == ("PAUSED", reason)
    await sync.call("ResumeSync", {"syncId": sync_id})
    assert (await sync.run(sync_id))["state"] == "SUCCEEDED"
    assert only() == hashes("ann")


async def test_an_account_that_wants_to_be_left_alone_is_so_by_all_its_syncs(tmp_path, cohorts, graph):
    clock, slept = StepClock(NOON), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += round(seconds * 1000)

    patience = Patience(attempts=3, shortest_wait=0, longest_wait=0, sleep=sleep)
    harness = SyncHarness(tmp_path / "clocked", cohorts, patience=patience, clock=clock)
    await harness.start()
    try:
        destination_id = await harness.facebook(graph)
        first, second = [
            (await harness.sync(cohorts.add_cohort(name, people(cohorts, name)), destination_id))["syncId"]
            for name in ("a", "b")
        ]
        await harness.run(first)
        graph.misbehave(error(80003, headers=usage(minutes=7)))
        cohorts.cohorts["coh_0"].members = people(cohorts, "c")
        assert (await harness.run(first))["state"] == "SUCCEEDED"
        assert sum(slept) == pytest.approx(420, abs=1)
        graph.misbehave(error(80003, headers=usage(minutes=180)))
        run = await harness.run(second)
        assert run["state"] == "FAILED"
        assert "180 minutes; the next run sends the rest" in run["error"]
        calls = len(graph.calls)
        other = await harness.run(first)
        assert counts(other) == (0, 0, 0, 0)
        cohorts.cohorts["coh_0"].members = people(cohorts, "d")
        assert "minutes" in (await harness.run(first))["error"]
        assert len(graph.calls) == calls, "no sync of the account called it"
    finally:
        await harness.stop()


async def test_a_wait_ends_where_the_run_is_cancelled(tmp_path, cohorts, graph):
    patience = Patience(attempts=3, shortest_wait=0, longest_wait=0)
    harness = SyncHarness(tmp_path / "cancelled", cohorts, patience=patience)
    await harness.start()
    try:
        cohort_id = cohorts.add_cohort("C", people(cohorts, "ann"))
        sync_id = (await harness.sync(cohort_id, await harness.facebook(graph)))["syncId"]
        graph.misbehave(error(80003, headers=usage(minutes=30)))
        run_id = (await harness.call("RunSync", {"syncId": sync_id}))["run"]["runId"]
        await until(lambda: graph.calls)
        await harness.call("CancelSyncRun", {"runId": run_id})
        assert (await harness.ended(run_id))["state"] == "CANCELLED"
    finally:
        await harness.stop()


async def test_replace_puts_the_full_set_in_place_of_what_was_there(sync, cohorts, graph, monkeypatch):
    monkeypatch.setattr(FacebookTarget, "page_size", 2)
    audience_id = graph.add_audience("42", "Mine")
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob", "cem") | {"none"})
    destination_id = await sync.facebook(graph, audienceId=audience_id)
    made = await sync.sync(cohort_id, destination_id, mode="REPLACE")
    run = await sync.run(made["syncId"])
    assert (run["state"], counts(run)) == ("PARTIAL", (4, 0, 3, 0))
    assert graph.values(audience_id, "EMAIL") == hashes("ann", "bob", "cem")
    cohorts.profiles["bob"] = {"email": "new@example.com"}
    cohorts.cohorts[cohort_id].members = {"bob", "cem"} | people(cohorts, "dee")
    run = await sync.run(made["syncId"])
    assert (run["state"], counts(run)) == ("SUCCEEDED", (1, 1, 1, 1))
    assert graph.values(audience_id, "EMAIL") == hashes("cem", "dee") | {sha("new@example.com")}
    assert {call.edge for call in graph.uploads()} == {"usersreplace"}
    changes = {"syncId": made["syncId"], "mode": "MIRROR"}
    await sync.call("UpdateSync", {"sync": changes, "updateMask": "mode"})
    cohorts.cohorts[cohort_id].members = {"cem", "dee"}
    await sync.run(made["syncId"])
    assert graph.values(audience_id, "EMAIL") == hashes("cem", "dee"), "what replaced it is known by its rows"


async def test_the_figures_of_a_full_set_add_up_where_it_leaves_out_members_delivered_before(
    sync, cohorts, graph, only
):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob", "cem", "dee"))
    made = await sync.sync(cohort_id, await sync.facebook(graph), mode="REPLACE")
    await sync.run(made["syncId"])
    cohorts.profiles["bob"] = {}
    cohorts.profiles["cem"] = {"email": "other@example.com"}
    graph.refuse.add(sha("other@example.com"))
    cohorts.cohorts[cohort_id].members = {"ann", "bob", "cem"}
    run = await sync.run(made["syncId"])
    rejected = {one["reason"]: one["count"] for one in run["rejected"]}
    assert (run["state"], counts(run), rejected) == ("PARTIAL", (2, 3, 0, 3), {"UNMATCHED": 1, "REFUSED": 1})
    assert only() == hashes("ann")
    run = await sync.run(made["syncId"])
    assert (run["state"], counts(run)) == ("PARTIAL", (2, 0, 0, 0))


async def test_a_full_set_that_was_settled_before_a_kill_keeps_its_figures(
    sync, cohorts, graph, only, monkeypatch
):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob", "cem"))
    made = await sync.sync(cohort_id, await sync.facebook(graph), mode="REPLACE")
    await sync.run(made["syncId"])
    cohorts.profiles["bob"] = {}
    cohorts.cohorts[cohort_id].members = {"ann", "bob"} | people(cohorts, "dee")
    run = await sync.cut_off_at_the_end(made["syncId"], monkeypatch)
    assert (run["state"], counts(run)) == ("PARTIAL", (2, 2, 1, 2))
    assert [one["reason"] for one in run["rejected"]] == ["UNMATCHED"]
    assert only() == hashes("ann", "dee")


async def test_what_replace_has_settled_is_not_settled_again(sync, cohorts, graph, only):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann"))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    graph.misbehave(error(4711, apply=True, on="POST users"))
    assert (await sync.run(sync_id))["state"] == "FAILED"
    for mode in ("REPLACE", "MIRROR"):
        await sync.call("UpdateSync", {"sync": {"syncId": sync_id, "mode": mode}, "updateMask": "mode"})
        assert (await sync.run(sync_id))["state"] == "SUCCEEDED"
        assert only() == hashes("ann")


async def test_who_was_added_under_a_lost_answer_and_has_left_is_taken_off(sync, cohorts, graph, only):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob"))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    graph.misbehave(error(4711, apply=True, on="POST users"))
    assert (await sync.run(sync_id))["state"] == "FAILED"
    assert only() == hashes("ann", "bob"), "it was done, and nobody knows"
    cohorts.cohorts[cohort_id].members = {"bob"}
    await sync.restart()
    run = await sync.run(sync_id)
    assert (run["state"], counts(run)) == ("SUCCEEDED", (1, 0, 1, 0))
    assert only() == hashes("bob")


async def test_who_was_removed_under_a_lost_answer_and_is_back_is_added_again(sync, cohorts, graph, only):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob"))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    await sync.run(sync_id)
    cohorts.cohorts[cohort_id].members = {"bob"}
    graph.misbehave(error(4711, apply=True, on="DELETE users"))
    assert (await sync.run(sync_id))["state"] == "FAILED"
    assert only() == hashes("bob"), "it was done, and nobody knows"
    cohorts.cohorts[cohort_id].members = {"ann", "bob"}
    assert (await sync.run(sync_id))["state"] == "SUCCEEDED"
    assert only() == hashes("ann", "bob")


async def test_add_only_takes_nobody_off(sync, cohorts, graph, only):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob"))
    made = await sync.sync(cohort_id, await sync.facebook(graph), mode="ADD_ONLY")
    await sync.run(made["syncId"])
    cohorts.cohorts[cohort_id].members = people(cohorts, "cem")
    assert counts(await sync.run(made["syncId"])) == (1, 0, 1, 0)
    assert only() == hashes("ann", "bob", "cem")


async def test_limited_data_use_is_a_column_of_every_row(sync, cohorts, graph):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann"))
    destination_id = await sync.facebook(graph, limitedDataUse=True)
    sync_id = (await sync.sync(cohort_id, destination_id))["syncId"]
    await sync.run(sync_id)
    assert graph.uploads()[0].schema == ["EMAIL", "DATA_PROCESSING_OPTIONS"]
    assert counts(await sync.run(sync_id)) == (0, 0, 0, 0)


async def test_an_audience_too_small_to_be_used_is_a_warning_and_no_failure(sync, cohorts, graph):
    cohort_id = cohorts.add_cohort("C", people(cohorts, *[f"p{n}" for n in range(99)]))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    run = await sync.run(sync_id)
    assert run["state"] == "SUCCEEDED"
    assert "99 people" in run["warnings"][0]
    cohorts.cohorts[cohort_id].members |= people(cohorts, "one-more")
    assert "warnings" not in await sync.run(sync_id)


async def test_a_destination_is_tried_without_sending_anybody(sync, cohorts, graph):
    mine, theirs = graph.add_audience("42", "Mine"), graph.add_audience("7", "Theirs")
    tried = {}
    for name, fields in {
        "plain": {},
        "mine": {"audienceId": mine},
        "theirs": {"audienceId": theirs},
        "gone": {"audienceId": "404"},
        "token": {"accessToken": "EAAB-canary-other"},
        "account": {"adAccountId": "41"},
    }.items():
        destination_id = await sync.facebook(graph, name, **fields)
        tried[name] = await sync.call("TestDestination", {"destinationId": destination_id})
    assert tried["plain"]["ok"], tried
    assert tried["mine"].get("ok"), tried
    assert "not one of ad account" in tried["theirs"]["message"]
    assert "does not exist" in tried["gone"]["message"]
    assert "get a new one" in tried["token"]["message"]
    assert "does not exist" in tried["account"]["message"]
    assert not any(tried[name].get("ok") for name in ("theirs", "gone", "token", "account"))
    assert "canary" not in str(tried)
    assert graph.uploads() == []


async def test_the_token_and_the_people_are_in_no_answer_log_or_error(
    sync, cohorts, graph, capfd, caplog, tmp_path
):
    caplog.set_level(logging.DEBUG)
    cohort_id = cohorts.add_cohort("C", people(cohorts, "canary-ann", "canary-bob"))
    destination_id = await sync.facebook(graph)
    sync_id = (await sync.sync(cohort_id, destination_id))["syncId"]
    said = [await sync.call("GetDestination", {"destinationId": destination_id})]
    said.append(await sync.call("ListDestinations"))
    graph.misbehave(error(190, message=f"bad {TOKEN}", on="GET"))
    said.append(await sync.run(sync_id))
    graph.misbehave(error(999, message=f"odd {TOKEN}", on="POST users"))
    said.append(await sync.run(sync_id))
    graph.misbehave(*[html(502)] * 3)
    said.append(await sync.run(sync_id))
    said.append(await sync.run(sync_id))
    said.append(await sync.call("TestDestination", {"destinationId": destination_id}))
    said.append(await sync.call("ListSyncRuns", {"syncId": sync_id}))
    bad = {"destinationId": destination_id, "facebookAds": {"accessToken": f"{TOKEN} with blanks"}}
    said.append(
        await sync.failure("UpdateDestination", {"destination": bad, "updateMask": "facebookAds.accessToken"})
    )
    graph.stop()
    said.append(await sync.call("TestDestination", {"destinationId": destination_id}))
    captured = capfd.readouterr()
    everything = f"{said}{captured.out}{captured.err}{caplog.text}"
    assert TOKEN not in everything
    assert "canary" not in everything
    assert sha("canary-ann@example.com") not in everything
    assert "access_token=…" in caplog.text, "the log that would have had it was switched on"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"adAccountId": ""}, "adAccountId"),
        ({"adAccountId": "act_x"}, "adAccountId"),
        ({"accessToken": ""}, "accessToken"),
        ({"accessToken": "two words"}, "accessToken"),
        ({"matchKeys": []}, "matchKeys"),
        ({"matchKeys": ["GEN", "COUNTRY"]}, "matchKeys"),
        ({"matchKeys": ["EMAIL", "EMAIL"]}, "matchKeys"),
        ({"matchKeys": ["EMAIL", "SHOE_SIZE"]}, "matchKeys"),
        ({"matchAttributes": {"SHOE_SIZE": "shoe"}}, "matchAttributes"),
        ({"audienceId": "x"}, "audienceId"),
        ({"defaultCountry": "Germany"}, "defaultCountry"),
        ({"graphUrl": "ftp://127.0.0.1"}, "graphUrl"),
        ({"graphUrl": "http://10.0.0.1"}, "graphUrl"),
    ],
)
async def test_bad_settings_are_refused_by_field_when_they_are_saved(sync, graph, fields, field):
    settings = {"adAccountId": "42", "accessToken": TOKEN, "matchKeys": ["EMAIL"], **fields}
    failure = await sync.failure("CreateDestination", {"destination": {"name": "x", "facebookAds": settings}})
    assert failure.code.name == "INVALID_ARGUMENT"
    assert failure.violations[0][0] == f"destination.facebookAds.{field}"
    assert TOKEN not in str(failure)


async def test_another_graph_api_is_only_for_a_server_that_was_told_so(tmp_path, cohorts, graph: GraphApi):
    strict = SyncHarness(tmp_path / "strict", cohorts, allow_loopback=False)
    await strict.start()
    with pytest.raises(Exception, match="destination-host"):
        await strict.facebook(graph)
    await strict.stop()
    told = SyncHarness(
        tmp_path / "told",
        cohorts,
        allow_loopback=False,
        destination_hosts=[graph.url.removeprefix("http://")],
    )
    await told.start()
    destination_id = await told.facebook(graph)
    assert (await told.call("TestDestination", {"destinationId": destination_id}))["ok"]
    await told.stop()


async def test_one_audience_is_kept_by_one_sync_and_stays_where_it_is(sync, cohorts, graph):
    audience_id = graph.add_audience("42", "Mine")
    destination_id = await sync.facebook(graph, audienceId=audience_id)
    sync_id = (await sync.sync(cohorts.add_cohort("A"), destination_id))["syncId"]
    second = {
        "cohortId": cohorts.add_cohort("B"),
        "destinationId": destination_id,
        "schedule": {"hourly": {}},
    }
    refused = await sync.failure("CreateSync", {"sync": second})
    assert (refused.code.name, refused.reason) == ("FAILED_PRECONDITION", "AUDIENCE_IN_USE")
    assert sync_id in refused.message
    away = {"destinationId": destination_id, "facebookAds": {"audienceId": "9"}}
    refused = await sync.failure(
        "UpdateDestination", {"destination": away, "updateMask": "facebookAds.audienceId"}
    )
    assert refused.reason == "DESTINATION_IN_USE"
    token = {"destinationId": destination_id, "facebookAds": {"accessToken": "EAAB-new"}}
    await sync.call("UpdateDestination", {"destination": token, "updateMask": "facebookAds.accessToken"})
