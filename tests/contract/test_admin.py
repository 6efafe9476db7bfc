"""GetStatus says what each part takes, and keeps saying it right as events come and are sealed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from libs.cli.main import app
from libs.cli.status import size
from tests.contract.harness import Client, event, served


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Client]:
    with served(tmp_path) as (address, _):
        yield Client(address)


PARTS = ("event log", "dictionaries", "index files", "profiles")


def parts(api: Client) -> dict[str, dict[str, int]]:
    answer = api.call("GetStatus")
    return {
        part["part"]: {key: int(value) for key, value in part.items() if key != "part"}
        for part in answer["parts"]
    }


def test_status_shows_every_part_and_the_revision(api: Client) -> None:
    empty = parts(api)
    revision = api.send(*(event(f"c{number}", data={"brand": "b"}) for number in range(50)))["revision"]
    api.call("UpsertCustomers", {"customers": [{"customerId": "c1", "data": {"city": "Pune"}}]})
    api.call("RunRule", {"rule": {"profile": {}}})
    held = parts(api)
    assert set(PARTS) <= set(held)
    assert held["event log"]["diskBytes"] > empty["event log"]["diskBytes"]
    assert held["index: tails"]["memoryBytes"] > 0
    assert held["dictionaries"]["memoryBytes"] > empty["dictionaries"].get("memoryBytes", 0)
    assert held["profiles"]["memoryBytes"] > 0
    status = api.call("GetStatus")
    assert status["revision"] != revision
    assert status["lag"] == "0s"


def test_what_is_sealed_is_shown_by_part(tmp_path: Path) -> None:
    with served(tmp_path) as (address, _):
        Client(address).send(*(event(f"c{number}", data={"brand": "b", "price": 3}) for number in range(50)))
    with served(tmp_path) as (address, _):
        held = parts(Client(address))
        for part in ("rows", "columns", "postings", "rows by customer", "bitmaps"):
            assert held[f"index: {part}"]["memoryBytes"] > 0
        assert held["index files"]["diskBytes"] > 0
        shown = CliRunner().invoke(app, ["--target", address, "status"])
        assert shown.exit_code == 0
        assert "index: bitmaps" in shown.output
        assert "up to date" in shown.output


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, ""), (999, "999 bytes"), (1_500, "1.5 KB"), (123_456_789, "123 MB"), (5e12, "5 TB")],
)
def test_bytes_are_written_with_three_digits(number: float, text: str) -> None:
    assert size(number) == text


def test_status_says_what_was_taken_in_and_a_repeat_counts_once(api: Client) -> None:
    twice = event("a", eventId="1")
    api.send(twice, twice, event("None"), event("b"))
    for _ in range(2):
        api.call("SendEvents", {"events": [event("c")], "requestId": "r"})
    api.call(
        "UpsertCustomers",
        {"customers": [{"customerId": "a"}, {"customerId": "b", "data": {"gender": "robot"}}]},
    )
    taken = {name: int(number) for name, number in api.call("GetStatus")["intake"].items()}
    assert taken.pop("commits") >= 3
    assert taken == {
        "eventsAccepted": 3,
        "eventsDuplicate": 1,
        "eventsRejected": 1,
        "customersAccepted": 1,
        "customersRejected": 1,
    }
