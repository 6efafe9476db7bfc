import json
from datetime import UTC, date, datetime, timedelta

import pytest

from libs.gen.cohort.v1 import cohort_pb2, event_pb2
from tests.contract.conftest import Cli
from tests.fakes.services import Fakes

RULE = '{"did": {"eventType": "view"}}'


@pytest.fixture(autouse=True)
def listed(fakes: Fakes) -> None:
    """Two saved cohorts."""
    cohorts = [cohort_pb2.Cohort(cohort_id=f"c-{name}", name=name) for name in ("Lapsed", "Spenders")]
    fakes.answers["ListCohorts"] = cohort_pb2.ListCohortsResponse(cohorts=cohorts)


class TestHistory:
    @pytest.fixture(autouse=True)
    def sizes(self, fakes: Fakes) -> None:
        points = [
            cohort_pb2.SizePoint(date=f"2026-01-0{day}", size=size)
            for day, size in ((1, 0), (2, 1), (3, 2_000), (4, 1_000))
        ]
        fakes.answers["GetSizeHistory"] = cohort_pb2.GetSizeHistoryResponse(points=points, revision="r")

    def test_draws_a_bar_a_day(self, fakes: Fakes, cli: Cli) -> None:
        result = cli("history", "Spenders", "--from", "2026-01-01", "--to", "2026-01-04")
        assert result.exit_code == 0
        lines = [line.split() for line in result.stdout.splitlines() if line.startswith("2026")]
        assert lines == [
            ["2026-01-01", "0"],
            ["2026-01-02", "1", "▏"],
            ["2026-01-03", "2,000", "█" * 40],
            ["2026-01-04", "1,000", "█" * 20],
        ]
        assert "least 0, most 2,000" in result.stdout
        asked = fakes.last("GetSizeHistory")
        assert (asked.cohort_id, asked.start, asked.to) == ("c-Spenders", "2026-01-01", "2026-01-04")

    def test_takes_a_rule_and_a_number_of_days(self, fakes: Fakes, cli: Cli) -> None:
        result = cli("history", "--rule", RULE, "--days", "90", "--json")
        assert json.loads(result.stdout)["points"][2] == {"date": "2026-01-03", "size": 2_000}
        asked = fakes.last("GetSizeHistory")
        assert asked.rule.did.event_type == "view"
        first, to = date.fromisoformat(asked.start), date.fromisoformat(asked.to)
        assert to - first == timedelta(days=89)
        assert abs(to - datetime.now(UTC).date()) <= timedelta(days=1)

    @pytest.mark.parametrize("arguments", [[], ["Spenders", "--rule", RULE], ["Spenders", "--to", "soon"]])
    def test_asks_for_one_set_and_for_dates(self, cli: Cli, arguments: list[str]) -> None:
        result = cli("history", *arguments)
        assert result.exit_code != 0
        assert result.stderr.startswith("error: ")


class TestCompare:
    @pytest.fixture(autouse=True)
    def sizes(self, fakes: Fakes) -> None:
        sizes = [((0,), 1_200, 1_000), ((1,), 300, 99), ((2,), 1, 0)]
        sizes += [((0, 1), 201, 200), ((0, 2), 1, 0), ((1, 2), 1, 0), ((0, 1, 2), 1, 1)]
        fakes.answers["CompareCohorts"] = cohort_pb2.CompareCohortsResponse(
            intersections=[
                cohort_pb2.Intersection(indexes=indexes, size=size, exclusive_size=exclusive)
                for indexes, size, exclusive in sizes
            ]
        )

    def test_shows_a_matrix_of_pairs_and_a_chart_of_regions(self, fakes: Fakes, cli: Cli) -> None:
        result = cli("compare", "Spenders", "Lapsed", "--rule", RULE)
        assert result.exit_code == 0
        lines = [line.split() for line in result.stdout.splitlines()]
        assert ["A", "Spenders", "1,200", "201", "1"] in lines
        assert ["B", "Lapsed", "201", "300", "1"] in lines
        regions = [line for line in lines if line and line[0] in "●·"]
        assert [line[:4] for line in regions] == [
            ["●", "·", "·", "1,000"],
            ["●", "●", "·", "200"],
            ["·", "●", "·", "99"],
            ["●", "●", "●", "1"],
        ]
        assert [line[4] for line in regions[:2]] == ["█" * 40, "█" * 8]
        asked = fakes.last("CompareCohorts").comparands
        assert [each.WhichOneof("of") for each in asked] == ["cohort_id", "cohort_id", "rule"]

    def test_draws_no_more_regions_than_asked_for(self, cli: Cli) -> None:
        result = cli("compare", "Spenders", "Lapsed", "--rule", RULE, "--limit", "1")
        assert sum(line[:1] in ("●", "·") for line in result.stdout.splitlines()) == 1
        assert "3 smaller regions" in result.stderr

    def test_compares_two_or_more(self, cli: Cli) -> None:
        result = cli("compare", "Spenders")
        assert result.exit_code == 1
        assert "2 to 10" in result.stderr


class TestExplain:
    @pytest.fixture(autouse=True)
    def explanation(self, fakes: Fakes) -> None:
        node = cohort_pb2.ExplainedNode
        event = event_pb2.Event(event_type="view")
        event.data.update({"price": 5})
        profile = node(path="rule.all.rules[1].not.rule", text='profile where city = "Pune"')
        profile.profile.update({"city": "Goa"})
        viewed = node(
            path="rule.all.rules[0]",
            text="view in last 7 days",
            holds=True,
            event_count=4,
            events=[event] * 4,
        )
        absent = node(path="rule.all.rules[1]", text="not p", holds=True, children=[profile])
        root = node(path="rule", text="view and not p", holds=True, children=[viewed, absent])
        response = cohort_pb2.ExplainMembershipResponse(root=root)
        response.changes_at.FromJsonString("2026-01-06T00:00:00Z")
        fakes.answers["ExplainMembership"] = response

    def test_draws_the_tree_with_marks_events_and_values(self, fakes: Fakes, cli: Cli) -> None:
        result = cli("explain", "Spenders", "customer-17", "--events", "2")
        assert result.exit_code == 0
        lines = [line.strip("│├└─ ") for line in result.stdout.splitlines()]
        assert lines[0].startswith("customer-17 is in 'Spenders' as of")
        assert lines[1:3] == ["✓ all of", "✓ view in last 7 days  4 events"]
        assert [line.split() for line in lines[3:5]] == [["view", "price=5"]] * 2
        assert lines[5:9] == ["… and 2 more", "✓ not", '✗ profile where city = "Pune"', "profile: city=Goa"]
        assert lines[9] == "if nothing else happens, this changes at 2026-01-06 00:00:00Z"
        asked = fakes.last("ExplainMembership")
        assert (asked.cohort_id, asked.customer_id) == ("c-Spenders", "customer-17")

    def test_takes_a_rule_instead_of_a_cohort(self, fakes: Fakes, cli: Cli) -> None:
        fakes.answers["ExplainMembership"] = cohort_pb2.ExplainMembershipResponse()
        result = cli("explain", "--rule", RULE, "customer-17")
        assert "is not matched" in result.stdout
        assert "time alone does not change this" in result.stdout
        assert fakes.last("ExplainMembership").rule.did.event_type == "view"

    def test_asks_for_a_cohort_and_a_customer(self, cli: Cli) -> None:
        result = cli("explain", "customer-17")
        assert result.exit_code == 1
        assert "name a saved cohort and a customer" in result.stderr
