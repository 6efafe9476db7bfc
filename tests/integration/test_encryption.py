"""Real processes, one or three: with --encrypt-profiles, no byte of what profiles say is in any file."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from libs.cli.main import app
from tests.contract.harness import Client, did, event
from tests.fakes.webhook import Answer, WebhookReceiver
from tests.integration.processes import connected, serve, serve_one, started
from tests.integration.waiting import until

PEOPLE = 40
INCOME = 123_456.789_012
ENCRYPTED = {"COHORT_ENCRYPT_PROFILES": "1"}


@pytest.fixture
def start() -> Iterator[Any]:
    with started() as starting:
        yield starting


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiving:
        yield receiving


def profile(number: int) -> dict[str, Any]:
    return {
        "email": f"canary-{number}@mail.test",
        "city": f"canary-town-{number % 3}",
        "income": INCOME + number,
    }


def left_in(folder: Path) -> set[str]:
    """Search every file for what profiles say."""
    forms: dict[str, list[bytes]] = {}
    for number in range(PEOPLE):
        said = profile(number)
        forms |= {said[each]: [said[each].encode()] for each in ("email", "city")}
        forms[str(said["income"])] = [struct.pack(order, said["income"]) for order in ("<d", ">d")]
    found = set()
    for path in filter(Path.is_file, folder.rglob("*")):
        content = path.read_bytes()
        found |= {value for value, those in forms.items() if any(form in content for form in those)}
    return found


def cohort(data: Path, *arguments: str) -> str:
    """Run a command on a data directory, and return what it prints."""
    done = CliRunner().invoke(app, [*arguments, "--data-dir", str(data)])
    assert done.exit_code == 0, done.output
    return done.output


class Servers:
    """An embedded server, or the three services."""

    def __init__(self, start: Any, data: Path, *, three: bool, **environment: str) -> None:
        if three:
            ingest = start(*serve_one("ingest", data), **environment).listening()
            asked = start(*serve_one("cohort", data), **environment).listening()
            targets = ("--cohort-target", asked.target, "--ingest-target", ingest.target)
            sync = start(*serve_one("sync", data, *targets), **environment).listening()
            self._processes = [sync, asked, ingest]
        else:
            ingest = asked = sync = start(*serve(data), **environment).listening()
            self._processes = [ingest]
        self._contexts = [connected(each) for each in (ingest, asked, sync)]
        self.ingest, self.cohort, self.sync = (each.__enter__() for each in self._contexts)

    def stop(self) -> None:
        for each in self._contexts:
            each.__exit__(None, None, None)
        for process in self._processes:
            code, _, errors = process.terminate()
            assert (code, "Traceback" in errors) == (0, False), errors


def fill(api: Client) -> None:
    customers = [{"customerId": f"c-{number}", "data": profile(number)} for number in range(PEOPLE)]
    api.call("UpsertCustomers", {"customers": customers})
    api.send(*(event(f"c-{number}", "view", data={"brand": "acme"}) for number in range(PEOPLE)))


def asked(api: Client) -> list[Any]:
    """Ask what profiles are needed for."""
    town = {"attribute": "city", "op": "EQUALS", "values": ["canary-town-1"]}
    rich = {"attribute": "income", "op": "GREATER_THAN", "values": [INCOME + 30]}
    named = {"attribute": "email", "op": "CONTAINS", "values": ["canary-2"]}
    return [
        *(sorted(api.run({"profile": {"where": {"test": test}}})) for test in (town, rich, named)),
        sorted(api.run(did("view"))),
        api.call("RunRule", {"rule": did("view"), "profileFields": ["email", "income"], "pageSize": 50})[
            "members"
        ],
    ]


@pytest.mark.parametrize("three", [False, True], ids=["one", "three"])
def test_no_byte_of_what_profiles_say_is_on_the_disk(
    start: Any, tmp_path: Path, receiver: WebhookReceiver, three: bool
) -> None:
    data = tmp_path / "data"
    servers = Servers(start, data, three=three)
    fill(servers.ingest)
    expected = asked(servers.cohort)
    servers.stop()
    assert len(left_in(data)) == 2 * PEOPLE + 3

    servers = Servers(start, data, three=three, **ENCRYPTED)
    until(lambda: left_in(data) == set())
    assert asked(servers.cohort) == expected
    saved = servers.cohort.call("CreateCohort", {"cohort": {"name": "all", "rule": did("view")}})["cohort"]
    hook = {"destination": {"name": "hook", "webhook": {"url": receiver.url}}}
    made = servers.sync.call("CreateDestination", hook)["destination"]
    receiver.misbehave(Answer(hang=True))
    pair = {"cohortId": saved["cohortId"], "destinationId": made["destinationId"]}
    sync = servers.sync.call("CreateSync", {"sync": {**pair, "schedule": {"once": {}}}})["sync"]
    receiver.wait_for(lambda receiver: len(receiver.calls) == 1)
    assert left_in(data) == set()  # though the page that is under way is written down
    receiver.release()
    until(lambda: len(receiver.members(sync["syncId"])) == PEOPLE)
    assert receiver.members(sync["syncId"])["c-7"] == profile(7)
    servers.ingest.call("DeleteCustomers", {"customerIds": ["c-7"]})
    until(lambda: not servers.ingest.call("ListErasures"))
    servers.ingest.call("Compact")
    servers.stop()
    assert left_in(data) == set()


def test_keys_are_changed_and_everything_is_there_under_the_new_one(start: Any, tmp_path: Path) -> None:
    data, new = tmp_path / "data", tmp_path / "new.key"
    servers = Servers(start, data, three=False, **ENCRYPTED)
    fill(servers.ingest)
    expected = asked(servers.cohort)
    servers.stop()
    before = json.loads(cohort(data, "secrets", "status", "--json"))["atRest"]
    assert len({each["masterKey"] for each in before}) == 1
    assert [Path(each["path"]).relative_to(data) for each in before] == [Path("events/default"), Path("sync")]

    assert CliRunner().invoke(app, ["secrets", "new-key", "--out", str(new)]).exit_code == 0
    assert cohort(data, "secrets", "rotate", "--new-master-key-file", str(new)).count("now sealed by") == 2
    (data / "master.key").unlink()
    told = cohort(data, "verify")
    assert "is whole" in told
    assert "which was not given" in told
    assert "which was not given" not in cohort(data, "verify", "--master-key-file", str(new))
    servers = Servers(start, data, three=False, COHORT_MASTER_KEY_FILE=str(new))
    assert asked(servers.cohort) == expected
    servers.stop()
    assert left_in(data) == set()


def test_a_server_without_the_key_says_which_it_wants(start: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start(*serve(data, "--encrypt-profiles")).listening()
    assert server.terminate()[0] == 0
    (data / "master.key").rename(tmp_path / "kept.key")
    for arguments in (serve(data), serve_one("ingest", data), serve_one("cohort", data)):
        code, _, errors = start(*arguments).ended()
        assert code == 1
        assert "is sealed by master key" in errors
        assert "--master-key-file" in errors
        assert "Traceback" not in errors
