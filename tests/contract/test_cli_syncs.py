import json
from pathlib import Path

import pytest

from libs.errors import Taken
from libs.gen.cohort.v1 import cohort_pb2, sync_pb2
from tests.contract.conftest import Cli
from tests.fakes.services import Fakes

SUCCEEDED = sync_pb2.SyncRun(
    run_id="r-1",
    state=sync_pb2.SyncRun.SUCCEEDED,
    planned_adds=3,
    delivered_adds=3,
    planned_removes=1,
    delivered_removes=1,
)


@pytest.fixture
def named(fakes: Fakes) -> None:
    """One cohort and one webhook, by name."""
    cohort = cohort_pb2.Cohort(cohort_id="c-1", name="Spenders")
    webhook = sync_pb2.WebhookDestination(url="http://crm.example")
    destination = sync_pb2.Destination(destination_id="d-1", name="crm", webhook=webhook)
    fakes.answers["ListCohorts"] = cohort_pb2.ListCohortsResponse(cohorts=[cohort])
    fakes.answers["ListDestinations"] = sync_pb2.ListDestinationsResponse(destinations=[destination])


def a_sync(**changes: object) -> sync_pb2.Sync:
    schedule = sync_pb2.Schedule(hourly=sync_pb2.Hourly())
    fields = {"sync_id": "s-1", "cohort_id": "c-1", "destination_id": "d-1", "schedule": schedule}
    return sync_pb2.Sync(**{"state": sync_pb2.Sync.ACTIVE, **fields, **changes})  # type: ignore[arg-type]


class TestDestinations:
    def test_a_webhook_takes_its_secret_from_a_file(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("whsec_abc\n")
        made = sync_pb2.Destination(destination_id="d-1", name="crm")
        fakes.answers["CreateDestination"] = sync_pb2.CreateDestinationResponse(destination=made)
        result = cli(
            "destinations", "add", "webhook", "crm", "--url", "http://x", "--secret-file", str(secret)
        )
        sent = fakes.last("CreateDestination").destination
        assert (sent.webhook.url, sent.webhook.signing_secret) == ("http://x", "whsec_abc")
        assert "whsec" not in result.stdout + result.stderr

    def test_a_file_has_a_format(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["CreateDestination"] = sync_pb2.CreateDestinationResponse()
        cli("destinations", "add", "file", "f", "--path", "/srv/a", "--format", "json-lines")
        sent = fakes.last("CreateDestination").destination.file
        assert (sent.path, sent.format) == ("/srv/a", sync_pb2.FileDestination.JSON_LINES)

    def test_facebook_takes_its_token_from_a_file_or_the_environment_and_never_shows_it(
        self, fakes: Fakes, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = tmp_path / "token"
        token.write_text("EAAB-canary\n")
        fakes.answers["CreateDestination"] = sync_pb2.CreateDestinationResponse()
        given = ("destinations", "add", "facebook-ads", "ads", "--account", "act_42", "--match-key", "email")
        said = [cli(*given, "--match-key", "madid=idfa", "--token-file", str(token), "--limited-data-use")]
        sent = fakes.last("CreateDestination").destination.facebook_ads
        assert (sent.ad_account_id, sent.access_token) == ("act_42", "EAAB-canary")
        assert list(sent.match_keys) == ["EMAIL", "MADID"]
        assert dict(sent.match_attributes) == {"MADID": "idfa"}
        assert sent.limited_data_use
        monkeypatch.setenv("COHORT_FACEBOOK_TOKEN", "EAAB-canary-2")
        said.append(cli(*given))
        assert fakes.last("CreateDestination").destination.facebook_ads.access_token == "EAAB-canary-2"
        assert all(result.exit_code == 0 for result in said)
        assert "canary" not in "".join(result.stdout + result.stderr for result in said)

    def test_what_facebook_needs_is_asked_for_at_a_terminal(
        self, fakes: Fakes, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("libs.cli.destination_kinds.can_ask", lambda yes: True)
        fakes.answers["CreateDestination"] = sync_pb2.CreateDestinationResponse()
        result = cli("destinations", "add", "facebook-ads", stdin="ads\n42\nEMAIL,EXTERN_ID\nEAAB-canary\n")
        assert result.exit_code == 0, result.stderr
        destination = fakes.last("CreateDestination").destination
        sent = destination.facebook_ads
        assert (destination.name, sent.ad_account_id, sent.access_token) == ("ads", "42", "EAAB-canary")
        assert list(sent.match_keys) == ["EMAIL", "EXTERN_ID"]
        assert "canary" not in result.stdout + result.stderr

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            ((), "NAME"),
            (("ads",), "--account"),
            (("ads", "--account", "42"), "--match-key"),
            (("ads", "--account", "42", "--match-key", "EMAIL"), "COHORT_FACEBOOK_TOKEN"),
        ],
    )
    def test_without_a_terminal_what_is_missing_is_named(
        self, fakes: Fakes, cli: Cli, given: tuple[str, ...], named: str
    ) -> None:
        result = cli("destinations", "add", "facebook-ads", *given)
        assert result.exit_code == 1
        assert named in str(result.exception) + result.stderr
        assert fakes.asked("CreateDestination") == []

    @pytest.mark.parametrize("given", [(), ("ads",), ("ads", "--account", "42", "--match-key", "EMAIL")])
    def test_with_yes_nothing_is_asked_at_a_terminal_either(
        self, fakes: Fakes, cli: Cli, given: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("libs.cli.destination_kinds.can_ask", lambda yes: not yes)
        result = cli("destinations", "add", "facebook-ads", *given, "--yes", stdin="x\n" * 9)
        assert result.exit_code == 1
        assert fakes.asked("CreateDestination") == []

    def test_a_token_is_no_option(self, cli: Cli) -> None:
        assert cli("destinations", "add", "facebook-ads", "ads", "--token", "EAAB").exit_code == 2

    def test_facebook_is_given_another_token_and_other_keys(
        self, fakes: Fakes, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ads = sync_pb2.Destination(
            destination_id="d-2",
            name="ads",
            facebook_ads=sync_pb2.FacebookAdsDestination(ad_account_id="42", match_keys=["EMAIL"]),
        )
        fakes.answers["ListDestinations"] = sync_pb2.ListDestinationsResponse(destinations=[ads])
        fakes.answers["GetDestination"] = sync_pb2.GetDestinationResponse(destination=ads)
        fakes.answers["UpdateDestination"] = sync_pb2.UpdateDestinationResponse(destination=ads)
        monkeypatch.setenv("COHORT_FACEBOOK_TOKEN", "EAAB-new")
        cli("destinations", "update", "ads", "--new-token", "--match-key", "PHONE")
        sent = fakes.last("UpdateDestination")
        assert list(sent.update_mask.paths) == [
            "facebook_ads.access_token",
            "facebook_ads.match_keys",
            "facebook_ads.match_attributes",
        ]
        assert sent.destination.facebook_ads.access_token == "EAAB-new"
        shown = cli("destinations", "show", "ads").stdout
        assert "act_42" in shown
        assert "EMAIL" in shown

    def test_a_plugin_has_a_target(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["CreateDestination"] = sync_pb2.CreateDestinationResponse()
        cli("destinations", "add", "plugin", "p", "--target", "127.0.0.1:50060")
        assert fakes.last("CreateDestination").destination.grpc.target == "127.0.0.1:50060"

    def test_list_says_type_and_place(self, named: None, cli: Cli) -> None:
        assert cli("destinations", "list").stdout.splitlines()[-1].split() == [
            "crm", "d-1", "webhook", "http://crm.example",
        ]  # fmt: skip

    def test_a_trial_that_fails_exits_with_1(self, fakes: Fakes, named: None, cli: Cli) -> None:
        fakes.answers["TestDestination"] = sync_pb2.TestDestinationResponse(message="nobody answers")
        result = cli("destinations", "test", "crm")
        assert (result.exit_code, result.stdout) == (1, "does not work: nobody answers\n")

    def test_update_names_what_changes(self, fakes: Fakes, named: None, cli: Cli) -> None:
        fakes.answers["UpdateDestination"] = sync_pb2.UpdateDestinationResponse()
        cli("destinations", "update", "crm", "--url", "http://y", "--name", "crm2")
        sent = fakes.last("UpdateDestination")
        assert list(sent.update_mask.paths) == ["name", "webhook.url"]
        assert sent.destination.destination_id == "d-1"

    def test_update_refuses_two_kinds_at_once(self, named: None, cli: Cli) -> None:
        result = cli("destinations", "update", "crm", "--url", "http://y", "--path", "/a")
        assert result.exit_code == 1

    def test_delete_takes_a_name(self, fakes: Fakes, named: None, cli: Cli) -> None:
        fakes.answers["DeleteDestination"] = sync_pb2.DeleteDestinationResponse()
        assert cli("destinations", "delete", "crm", "--yes").exit_code == 0
        assert fakes.last("DeleteDestination").destination_id == "d-1"


class TestSyncs:
    @pytest.fixture(autouse=True)
    def _no_cohort_has_the_name_of_a_sync(self, fakes: Fakes) -> None:
        fakes.answers["ListCohorts"] = cohort_pb2.ListCohortsResponse()

    def test_the_name_of_a_cohort_stands_for_its_one_sync(self, fakes: Fakes, cli: Cli) -> None:
        named = cohort_pb2.Cohort(cohort_id="c-1", name="Loyal")
        fakes.answers["ListCohorts"] = cohort_pb2.ListCohortsResponse(cohorts=[named])
        fakes.answers["ListSyncs"] = sync_pb2.ListSyncsResponse(syncs=[sync_pb2.Sync(sync_id="s-7")])
        fakes.answers["DeleteSync"] = sync_pb2.DeleteSyncResponse()
        assert cli("syncs", "delete", "Loyal", "--yes").exit_code == 0
        assert fakes.requests["DeleteSync"][0].sync_id == "s-7"
        fakes.answers["ListSyncs"] = sync_pb2.ListSyncsResponse()
        assert "has none" in cli("syncs", "delete", "Loyal", "--yes").stderr

    def test_add_resolves_names_and_reads_the_schedule(self, fakes: Fakes, named: None, cli: Cli) -> None:
        fakes.answers["CreateSync"] = sync_pb2.CreateSyncResponse(sync=a_sync())
        arguments = ("--every", "15m", "--mode", "add-only", "--max-remove-fraction", "0.2")
        result = cli("syncs", "add", "Spenders", "crm", *arguments)
        sent = fakes.last("CreateSync").sync
        assert (sent.cohort_id, sent.destination_id) == ("c-1", "d-1")
        assert sent.schedule.every.duration.seconds == 900
        assert (sent.mode, sent.max_remove_fraction) == (sync_pb2.Sync.ADD_ONLY, 0.2)
        assert "s-1" in result.stdout

    def test_add_without_a_guard_sends_none(self, fakes: Fakes, named: None, cli: Cli) -> None:
        fakes.answers["CreateSync"] = sync_pb2.CreateSyncResponse(sync=a_sync())
        cli("syncs", "add", "Spenders", "crm", "--daily", "09:00", "--time-zone", "Europe/Berlin")
        sent = fakes.last("CreateSync").sync
        assert not sent.HasField("max_remove_fraction")
        assert not sent.schedule.HasField("jitter")
        assert (sent.schedule.daily.time, sent.schedule.time_zone) == ("09:00", "Europe/Berlin")

    def test_a_second_sync_of_a_pair_is_one_line(self, fakes: Fakes, named: None, cli: Cli) -> None:
        fakes.answers["CreateSync"] = Taken(
            "SYNC_EXISTS", "sync s-1 is of this pair; change it", "sync", "s-1"
        )
        result = cli("syncs", "add", "Spenders", "crm", "--hourly")
        assert result.stderr == "error: sync s-1 is of this pair; change it\n"

    def test_list_shows_names_for_ids(self, fakes: Fakes, named: None, cli: Cli) -> None:
        fakes.answers["ListSyncs"] = sync_pb2.ListSyncsResponse(syncs=[a_sync(last_run=SUCCEEDED)])
        line = cli("syncs", "list").stdout.splitlines()[-1]
        assert line.split()[:5] == ["s-1", "Spenders", "crm", "hourly", "active"]
        assert "succeeded: 3 of 3 added, 1 of 1 removed" in line

    def test_run_waits_for_the_end(self, fakes: Fakes, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("libs.cli.sync_runs.POLL_SECONDS", 0)
        running = sync_pb2.SyncRun(run_id="r-1", state=sync_pb2.SyncRun.RUNNING)
        fakes.answers["RunSync"] = sync_pb2.RunSyncResponse(run=running)
        fakes.answers["GetSyncRun"] = [
            sync_pb2.GetSyncRunResponse(run=running),
            sync_pb2.GetSyncRunResponse(run=SUCCEEDED),
        ]
        result = cli("syncs", "run", "s-1", "--wait", "--json")
        assert result.exit_code == 0
        assert json.loads(result.stdout)["run"]["state"] == "SUCCEEDED"

    def test_run_exits_with_1_when_the_run_fails(self, fakes: Fakes, cli: Cli) -> None:
        failed = sync_pb2.SyncRun(run_id="r-1", state=sync_pb2.SyncRun.FAILED, error="HTTP 500")
        fakes.answers["RunSync"] = sync_pb2.RunSyncResponse(run=failed)
        fakes.answers["GetSyncRun"] = sync_pb2.GetSyncRunResponse(run=failed)
        result = cli("syncs", "run", "s-1", "--wait")
        assert result.exit_code == 1
        assert "HTTP 500" in result.stdout

    def test_edit_sends_only_what_changes(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["UpdateSync"] = sync_pb2.UpdateSyncResponse(sync=a_sync())
        cli("syncs", "edit", "s-1", "--mode", "mirror")
        assert list(fakes.last("UpdateSync").update_mask.paths) == ["mode"]
        cli("syncs", "edit", "s-1", "--no-guard")
        sent = fakes.last("UpdateSync")
        assert list(sent.update_mask.paths) == ["max_remove_fraction"]
        assert not sent.sync.HasField("max_remove_fraction")
        assert cli("syncs", "edit", "s-1", "--no-guard", "--max-remove-fraction", "0.5").exit_code == 1
        assert cli("syncs", "edit", "s-1").exit_code == 1

    @pytest.mark.parametrize(
        ("given", "kind", "zone", "jitter"),
        [
            (("--hourly",), "hourly", "Asia/Kolkata", 600),
            (("--cron", "0 9 * * 1"), "cron", "Asia/Kolkata", 600),
            (("--jitter", "0s"), "daily", "Asia/Kolkata", 0),
            (("--time-zone", ""), "daily", "", 600),
            (("--once",), "once", "Asia/Kolkata", 0),
        ],
    )
    def test_edit_keeps_what_is_not_said_of_a_schedule(
        self, fakes: Fakes, cli: Cli, given: tuple[str, ...], kind: str, zone: str, jitter: int
    ) -> None:
        schedule = sync_pb2.Schedule(daily=sync_pb2.Daily(time="09:00"), time_zone="Asia/Kolkata")
        schedule.jitter.FromSeconds(600)
        current = a_sync(schedule=schedule, etag="7")
        fakes.answers["GetSync"] = sync_pb2.GetSyncResponse(sync=current)
        fakes.answers["UpdateSync"] = sync_pb2.UpdateSyncResponse(sync=a_sync())
        assert cli("syncs", "edit", "s-1", *given).exit_code == 0
        sent = fakes.last("UpdateSync")
        assert list(sent.update_mask.paths) == ["schedule"]
        assert sent.sync.schedule.WhichOneof("schedule") == kind
        assert (sent.sync.schedule.time_zone, sent.sync.schedule.jitter.seconds) == (zone, jitter)
        assert sent.sync.etag == "7", "nobody else's change is lost"

    @pytest.mark.parametrize(("command", "method"), [("pause", "PauseSync"), ("resume", "ResumeSync")])
    def test_pause_and_resume(self, fakes: Fakes, cli: Cli, command: str, method: str) -> None:
        fakes.answers["PauseSync"] = sync_pb2.PauseSyncResponse(sync=a_sync(state=sync_pb2.Sync.PAUSED))
        fakes.answers["ResumeSync"] = sync_pb2.ResumeSyncResponse(sync=a_sync())
        result = cli("syncs", command, "s-1")
        assert fakes.last(method).sync_id == "s-1"
        assert ("paused" in result.stdout) == (command == "pause")

    def test_show_says_when_and_why(self, fakes: Fakes, named: None, cli: Cli) -> None:
        schedule = sync_pb2.Schedule(weekly=sync_pb2.Weekly(day=sync_pb2.Weekly.MONDAY, time="09:00"))
        schedule.catchup_window.FromSeconds(0)
        paused = a_sync(
            schedule=schedule,
            state=sync_pb2.Sync.PAUSED,
            state_reason="TOKEN_INVALID",
            max_remove_fraction=0.2,
            last_run=sync_pb2.SyncRun(state=sync_pb2.SyncRun.FAILED, error="get a new token"),
        )
        fakes.answers["GetSync"] = sync_pb2.GetSyncResponse(sync=paused)
        shown = cli("syncs", "show", "s-1").stdout
        for words in ("Spenders (c-1)", "crm (d-1)", "every Monday at 09:00", "never", "TOKEN_INVALID"):
            assert words in shown
        assert "0.2" in shown
        assert "get a new token" in shown

    def test_preview_says_what_a_run_would_do(self, fakes: Fakes, cli: Cli) -> None:
        unmatched = [sync_pb2.RejectedCount(reason="UNMATCHED", count=12)]
        fakes.answers["PreviewSync"] = sync_pb2.PreviewSyncResponse(
            adds=1200, removes=1, batches=1, calls=2, unmatched=unmatched
        )
        said = cli("syncs", "preview", "s-1").stdout
        assert said.startswith("a run now would add 1,200 and remove 1: 1 batch, 2 calls\n")
        assert said.splitlines()[-1].split() == ["UNMATCHED", "12"]
        fakes.answers["PreviewSync"] = sync_pb2.PreviewSyncResponse()
        assert "would send nothing" in cli("syncs", "preview", "s-1").stdout
        assert fakes.last("PreviewSync").sync_id == "s-1"

    def test_a_run_under_way_is_followed_to_its_end(
        self, fakes: Fakes, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("libs.cli.sync_runs.POLL_SECONDS", 0)
        monkeypatch.setattr("libs.cli.sync_runs.LINE_SECONDS", 0)
        planning = sync_pb2.SyncRun(run_id="r-1", state=sync_pb2.SyncRun.RUNNING)
        half = sync_pb2.SyncRun(
            run_id="r-1",
            state=sync_pb2.SyncRun.RUNNING,
            revision="7",
            planned_adds=3,
            planned_removes=1,
            delivered_adds=1,
            rejected=[sync_pb2.RejectedCount(reason="REFUSED", count=1)],
            attempts=1,
        )
        fakes.answers["ListSyncRuns"] = sync_pb2.ListSyncRunsResponse(runs=[half])
        fakes.answers["GetSyncRun"] = [
            *(sync_pb2.GetSyncRunResponse(run=one) for one in (planning, half, SUCCEEDED))
        ]
        result = cli("syncs", "runs", "s-1", "--follow")
        assert result.stderr == "r-1: planning, 0 of 0\nr-1: delivering, 1 call, 2 of 4\n"
        assert result.stdout.endswith("run r-1: succeeded: 3 of 3 added, 1 of 1 removed\n")
        result = cli("syncs", "runs", "s-1")
        assert "run r-1:" not in result.stdout, "without a terminal it is listed only"

    def test_cancel_takes_a_sync_or_a_run(self, fakes: Fakes, cli: Cli) -> None:
        running = sync_pb2.SyncRun(run_id="r-1", state=sync_pb2.SyncRun.RUNNING)
        fakes.answers["GetSync"] = sync_pb2.GetSyncResponse(sync=a_sync(last_run=running))
        fakes.answers["CancelSyncRun"] = sync_pb2.CancelSyncRunResponse(run=running)
        assert cli("syncs", "cancel", "s-1").exit_code == 0
        assert fakes.last("CancelSyncRun").run_id == "r-1"
        run_id = "run_" + "0" * 22
        assert cli("syncs", "cancel", run_id).exit_code == 0
        assert fakes.last("CancelSyncRun").run_id == run_id
        fakes.answers["GetSync"] = sync_pb2.GetSyncResponse(sync=a_sync(last_run=SUCCEEDED))
        assert "no run of sync" in cli("syncs", "cancel", "s-1").stderr

    def test_runs_are_listed(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["ListSyncRuns"] = sync_pb2.ListSyncRunsResponse(runs=[SUCCEEDED], next_page_token="t")
        result = cli("syncs", "runs", "s-1", "--limit", "1")
        assert "r-1" in result.stdout
        assert "--all" in result.stderr

    def test_delete(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["DeleteSync"] = sync_pb2.DeleteSyncResponse()
        assert cli("syncs", "delete", "s-1").exit_code == 0
