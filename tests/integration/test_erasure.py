"""Real processes, one or three: once destinations have acknowledged and a compaction has run, no byte is left."""

import base64
import csv
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.harness import Client, did, event
from tests.integration.processes import connected, serve, serve_one, started
from tests.integration.waiting import until

CUSTOMERS = 500
EVENTS = 70_000
"""More than are sealed at once, so that there are segments, tails, and strings with files of their own."""


@pytest.fixture
def start() -> Iterator[Any]:
    with started() as starting:
        yield starting


def canary(chance: random.Random) -> str:
    return f"canary-{chance.randrange(16**16):016x}"


class Canaries:
    """What is only known of the customers to be erased."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.customers = [canary(chance) for _ in range(3)]
        self.values = {who: [canary(chance) for _ in range(6)] for who in self.customers}

    @property
    def all(self) -> list[str]:
        """Every string."""
        return [*self.customers, *(value for values in self.values.values() for value in values)]

    def send(self, api: Client) -> None:
        """Send events, and a profile that is changed once."""
        for who in self.customers:
            brand, event_id, second, email, before, name = self.values[who]
            api.send(
                event(who, "view", eventId=event_id, data={"brand": brand}),
                event(who, "cart", eventId=second, data={"price": 7}),
            )
            for data in ({"email": before, "firstName": name}, {"email": email}):
                api.call("UpsertCustomers", {"customers": [{"customerId": who, "data": data}]})

    def left_in(self, folder: Path) -> list[tuple[str, str]]:
        """Search every file, for each string as it is, as UTF-16, hexadecimal and base64."""
        found = []
        for path in folder.rglob("*"):
            if not path.is_file():
                continue
            data = path.read_bytes()
            for each in self.all:
                plain = each.encode()
                forms = (plain, each.encode("utf-16-le"), plain.hex().encode(), base64.b64encode(plain)[:20])
                found += [(path.name, each)] if any(form in data for form in forms) else []
        return found


def fill(api: Client, first: int, count: int) -> None:
    """Send ordinary events of ordinary customers."""
    numbers = range(first, first + count)
    api.call(
        "SendEventColumns",
        {
            "customerIds": [f"customer-{number % CUSTOMERS}" for number in numbers],
            "eventTypes": ["view"],
            "eventIds": [f"id-{number}" for number in numbers],
            "columns": [{"attribute": "page", "strings": [f"page-{number % 30_000}" for number in numbers]}],
        },
    )


@pytest.mark.parametrize("three", [False, True], ids=["one", "three"])
def test_no_byte_of_an_erased_customer_is_left(start: Any, tmp_path: Path, three: bool) -> None:
    data, members = tmp_path / "data", tmp_path / "members.csv"
    canaries = Canaries(seed=int(three))
    if three:
        ingest = start(*serve_one("ingest", data)).listening()
        cohort = start(*serve_one("cohort", data)).listening()
        targets = ("--cohort-target", cohort.target, "--ingest-target", ingest.target)
        sync = start(*serve_one("sync", data, *targets)).listening()
        servers = [ingest, cohort, sync]
    else:
        ingest = cohort = sync = start(*serve(data)).listening()
        servers = [ingest]
    with connected(ingest) as sending, connected(cohort) as asking, connected(sync) as syncing:
        fill(sending, 0, EVENTS)
        canaries.send(sending)
        fill(sending, EVENTS, EVENTS)
        carted = asking.call("CreateCohort", {"cohort": {"name": "carted", "rule": did("cart")}})["cohort"]
        listed = {"name": "listed", "static": True, "customerIds": [*canaries.customers, "customer-1"]}
        static = asking.call("CreateCohort", {"cohort": listed})["cohort"]
        settings = {"name": "f", "file": {"path": str(members), "format": "CSV"}}
        made = syncing.call("CreateDestination", {"destination": settings})["destination"]
        sync_of = {"cohortId": static["cohortId"], "destinationId": made["destinationId"]}
        schedule = {"schedule": {"once": {}}}
        syncing.call("CreateSync", {"sync": {**sync_of, **schedule}})
        until(lambda: members.exists() and "canary" in members.read_text())
        assert {each for _, each in canaries.left_in(data)} == set(canaries.all)

        assert sending.call("DeleteCustomers", {"customerIds": canaries.customers})["deleted"] == 3
        assert asking.run({"cohort": {"cohortId": carted["cohortId"]}}) == set()
        assert asking.run({"cohort": {"cohortId": static["cohortId"]}}) == {"customer-1"}
        until(lambda: not sending.call("ListErasures"))
        with members.open(newline="") as file:
            assert [row["customerId"] for row in csv.DictReader(file)] == ["customer-1"]
        sending.call("Compact")
        assert canaries.left_in(data) == []

        fill(sending, 2 * EVENTS, 1000)
        found = asking.call("RunRule", {"rule": did("view"), "countOnly": True})
        assert found["size"] == CUSTOMERS
        assert canaries.left_in(data) == []
    for server in reversed(servers):
        code, _, errors = server.terminate()
        assert (code, "Traceback" in errors) == (0, False), errors
    assert canaries.left_in(data) == []
    with connected(start(*serve(data)).listening()) as api:
        assert api.call("RunRule", {"rule": did("view"), "countOnly": True})["size"] == CUSTOMERS
        assert (
            api.failure("GetCustomer", {"customerId": canaries.customers[0]}).reason == "CUSTOMER_NOT_FOUND"
        )
        assert canaries.left_in(data) == []
