import json
from pathlib import Path

import pytest

from libs.errors import Conflict, Invalid, Missing, Unavailable
from libs.gen.cohort.v1 import cohort_pb2, event_pb2, rule_pb2
from tests.contract.conftest import Cli
from tests.fakes.services import Fakes

VIEWED = '{"did": {"eventType": "view"}}'
RULE = '{"all": {"rules": [{"did": {"eventType": "purchase"}}, {"not": {"rule": %s}}]}}' % VIEWED  # noqa: UP031


def a_cohort(**changes: object) -> cohort_pb2.Cohort:
    fields = {"cohort_id": "c-1", "name": "Spenders", "etag": "e1", "size": 7, **changes}
    return cohort_pb2.Cohort(**fields)  # type: ignore[arg-type]


@pytest.fixture
def listed(fakes: Fakes) -> None:
    """Two cohorts, on two pages."""
    second = a_cohort(cohort_id="c-2", name="Lapsed")

    def page(request: cohort_pb2.ListCohortsRequest) -> cohort_pb2.ListCohortsResponse:
        if request.page_token == "more":
            return cohort_pb2.ListCohortsResponse(cohorts=[second])
        return cohort_pb2.ListCohortsResponse(cohorts=[a_cohort()], next_page_token="more")

    fakes.answers["ListCohorts"] = page


class TestRun:
    def test_shows_size_and_customers(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["RunRule"] = cohort_pb2.RunRuleResponse(size=3, customer_ids=["a", "b"])
        result = cli("run", RULE, "--limit", "2")
        assert result.exit_code == 0
        assert "3 customers" in result.stdout
        assert "1 more" in result.stderr
        assert fakes.last("RunRule").page_size == 2
        assert fakes.last("RunRule").rule.all.rules[1].negation.rule.did.event_type == "view"

    def test_json_is_the_response_and_nothing_else(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["RunRule"] = cohort_pb2.RunRuleResponse(size=3, customer_ids=["a"], next_page_token="t")
        result = cli("run", RULE, "--json")
        assert json.loads(result.stdout) == {"size": 3, "customerIds": ["a"], "nextPageToken": "t"}
        assert result.stderr == ""

    def test_all_joins_the_customers_of_all_pages(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["RunRule"] = [
            cohort_pb2.RunRuleResponse(size=3, customer_ids=["a", "b"], next_page_token="t", warnings=["w"]),
            cohort_pb2.RunRuleResponse(size=3, customer_ids=["c"], warnings=["w"]),
        ]
        result = cli("run", "-", "--all", "--json", stdin=RULE)
        assert json.loads(result.stdout) == {"size": 3, "customerIds": ["a", "b", "c"], "warnings": ["w"]}
        assert [one.page_token for one in fakes.asked("RunRule")] == ["", "t"]

    def test_fields_stand_beside_the_ids(self, fakes: Fakes, cli: Cli) -> None:
        member = event_pb2.Member(customer_id="a")
        member.data.update({"city": "Pune", "age": 31})
        fakes.answers["RunRule"] = cohort_pb2.RunRuleResponse(size=1, members=[member])
        result = cli("run", RULE, "--fields", "city, age")
        assert list(fakes.last("RunRule").profile_fields) == ["city", "age"]
        assert result.stdout.splitlines()[-1].split() == ["a", "Pune", "31"]

    def test_nodes_draws_the_rule_with_sizes(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["RunRule"] = cohort_pb2.RunRuleResponse(size=1, node_sizes=[1, 1_234, 5, 6])
        result = cli("run", RULE, "--nodes", "--count")
        assert fakes.last("RunRule").with_node_sizes
        assert fakes.last("RunRule").count_only
        lines = [line for line in result.stdout.splitlines() if "purchase" in line or "view" in line]
        assert lines[0].endswith("purchase  1,234")
        assert lines[1].endswith("view  6")

    def test_as_of_is_an_instant(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["RunRule"] = cohort_pb2.RunRuleResponse()
        cli("run", RULE, "--as-of", "2026-03-01T12:00:00Z")
        assert fakes.last("RunRule").as_of.ToJsonString() == "2026-03-01T12:00:00Z"

    def test_a_bad_rule_is_one_line_with_its_path(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["RunRule"] = Invalid("INVALID_RULE", "op is required", "rule.all.rules[0].did.count.op")
        result = cli("run", RULE)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr == "error: rule.all.rules[0].did.count.op: op is required\n"


class TestTexts:
    @pytest.fixture(autouse=True)
    def parsed(self, fakes: Fakes) -> rule_pb2.Rule:
        rule = rule_pb2.Rule(did=rule_pb2.Did(event_type="view"))
        fakes.answers["ParseRule"] = cohort_pb2.ParseRuleResponse(rule=rule)
        fakes.answers["FormatRule"] = cohort_pb2.FormatRuleResponse(text="view")
        return rule

    def test_run_sends_a_text_as_it_is(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["RunRule"] = cohort_pb2.RunRuleResponse(size=1, customer_ids=["a"])
        assert cli("run", "view in last 7 days").exit_code == 0
        sent = fakes.last("RunRule")
        assert (sent.WhichOneof("query"), sent.text) == ("text", "view in last 7 days")
        assert not fakes.asked("ParseRule")

    def test_nodes_draws_what_a_text_means(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["RunRule"] = cohort_pb2.RunRuleResponse(size=1, node_sizes=[17])
        result = cli("run", "-", "--nodes", "--count", stdin="VIEW")
        assert fakes.last("ParseRule").text == "VIEW"
        assert result.stdout.splitlines()[-1] == "view  17"

    def test_save_and_update_keep_what_a_text_means(
        self, fakes: Fakes, listed: None, cli: Cli, parsed: rule_pb2.Rule
    ) -> None:
        fakes.answers["CreateCohort"] = cohort_pb2.CreateCohortResponse(cohort=a_cohort())
        fakes.answers["UpdateCohort"] = cohort_pb2.UpdateCohortResponse(cohort=a_cohort())
        assert cli("save", "Spenders", "VIEW").exit_code == 0
        assert cli("update", "Spenders", "--rule", "VIEW").exit_code == 0
        assert fakes.last("CreateCohort").cohort.rule == parsed
        assert fakes.last("UpdateCohort").cohort.rule == parsed

    def test_parse_prints_json_and_format_the_canonical_text(self, fakes: Fakes, cli: Cli) -> None:
        assert json.loads(cli("parse", "VIEW").stdout) == {"did": {"eventType": "view"}}
        assert json.loads(cli("parse", RULE).stdout) == json.loads(RULE)
        assert cli("format", "VIEW").stdout == "view\n"
        assert fakes.last("FormatRule").rule.did.event_type == "view"
        assert cli("format", "-", stdin=RULE).stdout == "view\n"
        assert fakes.last("FormatRule").rule.all.rules[0].did.event_type == "purchase"

    def test_a_mistake_is_shown_with_its_caret(self, fakes: Fakes, cli: Cli) -> None:
        said = "line 1, column 6: expected a count, not `x`\nview x\n     ^"
        fakes.answers["RunRule"] = fakes.answers["ParseRule"] = Invalid("INVALID_RULE", said, "text")
        for command in ("run", "parse", "format"):
            result = cli(command, "view x")
            assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {said}\n")


class TestCohorts:
    def test_save_sends_name_rule_and_a_request_id(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["CreateCohort"] = cohort_pb2.CreateCohortResponse(cohort=a_cohort())
        result = cli("save", "Spenders", RULE, "--description", "they spend")
        sent = fakes.last("CreateCohort")
        assert (sent.cohort.name, sent.cohort.description) == ("Spenders", "they spend")
        assert sent.request_id
        assert "c-1" in result.stdout

    def test_list_pages_through_everything(self, listed: None, cli: Cli) -> None:
        result = cli("list", "--json")
        assert [one["name"] for one in json.loads(result.stdout)["cohorts"]] == ["Spenders", "Lapsed"]

    @pytest.mark.parametrize("named", ["Lapsed", "c-2"])
    def test_show_takes_a_name_or_an_id(self, fakes: Fakes, listed: None, cli: Cli, named: str) -> None:
        found = a_cohort(cohort_id="c-2")
        found.rule.did.event_type = "purchase"
        fakes.answers["GetCohort"] = cohort_pb2.GetCohortResponse(cohort=found)
        result = cli("show", named)
        assert fakes.last("GetCohort").cohort_id == "c-2"
        assert "purchase" in result.stdout

    def test_an_unknown_name_says_where_to_look(self, listed: None, cli: Cli) -> None:
        result = cli("show", "Nobody")
        assert result.exit_code == 1
        assert result.stderr == "error: no cohort has the name or id 'Nobody': `cohort list` shows them\n"

    def test_members_says_that_there_are_more(self, fakes: Fakes, listed: None, cli: Cli) -> None:
        member = event_pb2.Member(customer_id="a")
        fakes.answers["ListMembers"] = cohort_pb2.ListMembersResponse(
            members=[member], size=9, next_page_token="t"
        )
        result = cli("members", "Spenders", "--limit", "1")
        assert "the first 1 of 9" in result.stderr

    def test_check_asks_about_the_cohorts_named(self, fakes: Fakes, listed: None, cli: Cli) -> None:
        fakes.answers["CheckMembership"] = cohort_pb2.CheckMembershipResponse(
            results=[
                cohort_pb2.Membership(cohort_id="c-2", member=True),
                cohort_pb2.Membership(cohort_id="c-1"),
            ]
        )
        result = cli("check", "customer-1", "Lapsed", "Spenders")
        assert list(fakes.last("CheckMembership").cohort_ids) == ["c-2", "c-1"]
        rows = [line.split() for line in result.stdout.splitlines()]
        assert ["Lapsed", "yes"] in rows
        assert ["Spenders", "no"] in rows

    def test_check_without_cohorts_lists_those_the_customer_is_in(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["LookupCohorts"] = cohort_pb2.LookupCohortsResponse(cohorts=[a_cohort()])
        assert "Spenders" in cli("check", "customer-1").stdout
        assert fakes.last("LookupCohorts").customer_id == "customer-1"

    def test_update_sends_only_what_changes_and_the_etag(self, fakes: Fakes, listed: None, cli: Cli) -> None:
        fakes.answers["UpdateCohort"] = cohort_pb2.UpdateCohortResponse(cohort=a_cohort(name="Big"))
        cli("update", "Spenders", "--name", "Big")
        sent = fakes.last("UpdateCohort")
        assert list(sent.update_mask.paths) == ["name"]
        assert sent.cohort.etag == "e1"

    def test_update_reports_a_conflict(self, fakes: Fakes, listed: None, cli: Cli) -> None:
        fakes.answers["UpdateCohort"] = Conflict("ETAG_MISMATCH", "somebody else changed it; read it again")
        result = cli("update", "Spenders", "--rule", RULE)
        assert result.stderr == "error: somebody else changed it; read it again\n"

    def test_delete_without_a_terminal_never_asks(self, fakes: Fakes, listed: None, cli: Cli) -> None:
        fakes.answers["DeleteCohort"] = cohort_pb2.DeleteCohortResponse()
        assert cli("delete", "Lapsed").exit_code == 0
        assert fakes.last("DeleteCohort").cohort_id == "c-2"

    def test_a_missing_cohort_is_one_line(self, fakes: Fakes, listed: None, cli: Cli) -> None:
        fakes.answers["GetCohort"] = Missing("COHORT_NOT_FOUND", "there is no cohort c-1", "cohort", "c-1")
        result = cli("show", "Spenders")
        assert (result.exit_code, result.stderr) == (1, "error: there is no cohort c-1\n")


class TestStatic:
    def test_a_file_of_ids_is_saved_as_a_list(self, fakes: Fakes, cli: Cli, tmp_path: Path) -> None:
        fakes.answers["CreateCohort"] = cohort_pb2.CreateCohortResponse(cohort=a_cohort(static=True, size=2))
        file = tmp_path / "panel.txt"
        file.write_bytes("\ufeffa\r\n\r\nb, c\n".encode())
        assert cli("save", "Panel", "--static", str(file)).exit_code == 0
        sent = fakes.last("CreateCohort").cohort
        assert (sent.static, list(sent.customer_ids), sent.HasField("rule")) == (True, ["a", "b, c"], False)
        cli("save", "Panel", "--static", "-", stdin="x\ny")
        assert list(fakes.last("CreateCohort").cohort.customer_ids) == ["x", "y"]

    def test_a_rule_is_frozen(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["CreateCohort"] = cohort_pb2.CreateCohortResponse(cohort=a_cohort(static=True))
        assert cli("save", "Panel", VIEWED, "--freeze").exit_code == 0
        sent = fakes.last("CreateCohort").cohort
        assert (sent.static, sent.rule.did.event_type) == (True, "view")

    def test_a_list_and_a_rule_or_a_file_that_is_not_there_are_one_line(self, cli: Cli) -> None:
        for arguments in ([VIEWED, "--static", "x"], ["--freeze", "--static", "x"], ["--static", "nowhere"]):
            result = cli("save", "Panel", *arguments)
            assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_a_dry_run_says_who_would_enter_and_leave(fakes: Fakes, cli: Cli, listed: None) -> None:
    answer = cohort_pb2.UpdateCohortResponse(cohort=a_cohort(), entering=1_234, leaving=5)
    fakes.answers["UpdateCohort"] = answer
    result = cli("update", "Spenders", "--rule", VIEWED, "--dry-run")
    assert "1,234 would enter, 5 would leave" in result.stdout
    assert fakes.last("UpdateCohort").validate_only


class TestWatch:
    @pytest.fixture(autouse=True)
    def answered(self, fakes: Fakes, listed: None) -> None:
        """Two changes, and the end of the server."""
        messages = [
            cohort_pb2.WatchCohortResponse(position="p0"),
            cohort_pb2.WatchCohortResponse(entered=["a", "b"], left=["c"], position="p1"),
            Unavailable("SHUTTING_DOWN", "the server is shutting down"),
        ]
        messages[1].as_of.FromJsonString("2026-03-01T12:00:00Z")  # type: ignore[union-attr]
        fakes.answers["WatchCohort"] = lambda request: messages

    def test_shows_a_line_for_each_who_enters_or_leaves(self, fakes: Fakes, cli: Cli) -> None:
        result = cli("watch", "Spenders", "--position", "here")
        when = "2026-03-01 12:00:00Z"
        assert result.stdout == f"{when} + a\n{when} + b\n{when} - c\n"
        assert (result.exit_code, result.stderr) == (1, "error: the server is shutting down\n")
        asked = fakes.last("WatchCohort")
        assert (asked.cohort_id, asked.position) == ("c-1", "here")

    def test_json_is_a_line_for_each_message(self, cli: Cli) -> None:
        first, second = map(json.loads, cli("watch", "Spenders", "--json").stdout.splitlines())
        assert first == {"position": "p0"}
        assert (second["entered"], second["left"], second["position"]) == (["a", "b"], ["c"], "p1")
