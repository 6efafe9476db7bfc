"""What does GetCatalog answer to menus and completion? Over real gRPC; and how `cohort catalog` shows it."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from libs.cli.main import app
from tests.contract.harness import Client, Json, client, event


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client(tmp_path_factory.mktemp("served")) as (connected, _):
        brands = ["Acme"] * 3 + ["acme"] * 2 + ["Acorn", "Zeta"]
        connected.send(
            *(event(f"c{n}", "purchase", data={"brand": each, "price": n}) for n, each in enumerate(brands)),
            event("c0", "purchase", data={"brand": 7, "bargain": True}),
            event("c0", "parcel_sent"),
            event("c1", "Parcel lost", data={"carrier": "Acme Post"}),
        )
        cities = [("c1", "Pune"), ("c2", "Pune"), ("c3", "Paris")]
        customers = [{"customerId": name, "data": {"city": city, "tier": 1}} for name, city in cities]
        connected.call("UpsertCustomers", {"customers": customers})
        yield connected


def types(api: Client, **asked: Any) -> list[str]:
    return [each["eventType"] for each in api.call("GetCatalog", asked).get("eventTypes", [])]


def seen(holder: list[Json]) -> list[str]:
    return [each["attribute"] for each in holder if "kinds" in each]


def values(kinds: list[Json]) -> list[tuple[Any, str]]:
    return [(each["value"], each["count"]) for kind in kinds for each in kind.get("topValues", [])]


def test_event_types_and_attributes_are_completed_in_any_case(api: Client) -> None:
    assert types(api, prefix="p") == ["purchase", "Parcel lost", "parcel_sent"]
    assert types(api, prefix="PARCEL_") == ["parcel_sent"]
    assert types(api, prefix="nothing so") == []
    answer = api.call("GetCatalog", {"eventType": "purchase", "prefix": "B"})
    [purchase] = answer["eventTypes"]
    assert [each["attribute"] for each in purchase["attributes"]] == ["brand", "bargain"]
    assert "profileAttributes" not in answer
    answer = api.call("GetCatalog", {"profilesOnly": True, "prefix": "T"})
    assert ([each["attribute"] for each in answer["profileAttributes"]], "eventTypes" in answer) == (
        ["tier"],
        False,
    )


def test_values_are_completed_with_the_most_frequent_first(api: Client) -> None:
    asked = {"eventType": "purchase", "attribute": "brand"}
    [purchase] = api.call("GetCatalog", asked)["eventTypes"]
    [brand] = purchase["attributes"]
    assert [kind["kind"] for kind in brand["kinds"]] == ["STRING", "NUMBER"]
    assert values(brand["kinds"]) == [("Acme", "3"), ("acme", "2"), ("Acorn", "1"), ("Zeta", "1")]
    [purchase] = api.call("GetCatalog", {**asked, "prefix": "AC", "maxValues": 2})["eventTypes"]
    strings, numbers = purchase["attributes"][0]["kinds"]
    assert (values([strings]), strings["count"], strings["distinct"]) == (
        [("Acme", "3"), ("acme", "2")],
        "7",
        "3",
    )
    assert (numbers["minimum"], numbers["maximum"]) == (7, 7)
    answer = api.call("GetCatalog", {"profilesOnly": True, "attribute": "city", "prefix": "pu"})
    assert values(answer["profileAttributes"][0]["kinds"]) == [("Pune", "2")]


def test_an_attribute_alone_is_shown_wherever_it_is(api: Client) -> None:
    answer = api.call("GetCatalog", {"attribute": "carrier"})
    found = {each["eventType"] for each in answer["eventTypes"] if seen(each.get("attributes", []))}
    assert (found, "profileAttributes" in answer) == ({"Parcel lost"}, False)
    assert (answer["events"], answer["customers"]) == ("10", "7")


def test_names_are_limited_the_predefined_first(api: Client) -> None:
    [purchase] = api.call("GetCatalog", {"eventType": "purchase", "maxNames": 1})["eventTypes"]
    assert seen(purchase["attributes"]) == ["brand"]
    assert types(api, maxNames=2)[5:] == ["Parcel lost"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"eventType": "purchase", "profilesOnly": True}, "profilesOnly"),
        ({"maxValues": -1}, "maxValues"),
        ({"maxNames": -1}, "maxNames"),
    ],
)
def test_what_cannot_be_asked_is_refused(api: Client, asked: Json, field: str) -> None:
    failed = api.failure("GetCatalog", asked)
    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CATALOG")
    assert [at for at, _ in failed.violations] == [field]


def test_the_command_line_shows_types_attributes_and_values(api: Client) -> None:
    def shown(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["--target", api.target, "catalog", *arguments])
        assert result.exit_code == 0, result.stderr
        return result.stdout

    assert "10 events of 7 customers" in shown()
    assert [word in shown("--prefix", "PA") for word in ("parcel_sent", "Parcel lost", "purchase")] == [
        *(True, True, False)
    ]
    assert "0 to 6" in shown("purchase")
    lines = shown("purchase", "brand", "--prefix", "ac", "--limit", "2").splitlines()
    assert lines[0] == "7 strings, 3 different"
    assert [line.split() for line in lines[3:5]] == [["Acme", "3"], ["acme", "2"]]
    assert lines[5:] == ["1 number, 7 to 7"]
    assert "Pune" in shown("--profile", "city")
    assert "no profile has had the attribute 'shoe'" in shown("--profile", "shoe")
    assert "no event of type 'nothing' has had the attribute 'x'" in shown("nothing", "x")
    assert "no event of type 'nothing' has arrived" in shown("nothing")
    result = CliRunner().invoke(app, ["catalog", "purchase", "--profile", "city"])
    assert result.exit_code == 2
