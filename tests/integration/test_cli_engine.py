"""The command line against the real ingest and cohort services."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from libs.cli.main import app
from libs.clock import system_clock
from libs.engine import Engine
from libs.events.log import EventLog
from libs.gen.cohort.v1 import cohort_pb2, ingest_pb2
from libs.index.calendar import Calendar
from services.cohort.servicer import CohortServicer
from services.cohort.store import CohortStore
from services.ingest.servicer import IngestServicer
from tests.fakes.services import serving

Cli = Callable[..., Any]
INGEST = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"]
COHORT = cohort_pb2.DESCRIPTOR.services_by_name["CohortService"]
CSV = """\
household,event,time,price,zip
a,purchase,2026-01-01 10:00:00,20,01234
a,purchase,2026-01-02 10:00:00,30,01234
a,purchase,2026-01-02 10:00:00,30,01234
b,purchase,2026-01-02,5,99999
None,purchase,2026-01-02,5,99999
c,view,2026-01-03,,
"""
SPENDERS = {"did": {"eventType": "purchase", "count": {"op": "AT_LEAST", "value": 2}}}
SPENDERS["did"]["where"] = {"test": {"attribute": "price", "op": "GREATER_THAN", "values": [10]}}


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    for folder in ("log", "saved"):
        (tmp_path / folder).mkdir()
    calendar = Calendar(ZoneInfo("UTC"))
    engine = Engine(EventLog(tmp_path / "log"), calendar, system_clock, writable=True)
    store = CohortStore(tmp_path / "saved")
    services = [
        (INGEST, IngestServicer(engine, system_clock)),
        (COHORT, CohortServicer(engine, store, system_clock)),
    ]
    with serving(services) as target:

        def run(*arguments: str) -> Any:
            result = CliRunner().invoke(app, ["--target", target, *arguments, "--json"])
            assert result.exit_code == 0, result.output
            return json.loads(result.stdout)

        yield run
    store.close()
    engine.close()


def test_a_file_imported_twice_is_there_once(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(CSV)
    first = cli("import", str(file))
    assert (first["accepted"], first["duplicates"], first["rejected"]) == (5, 0, 1)
    assert [one["row"] for one in first["firstRejected"]] == [5]
    again = cli("import", str(file))
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 5, 1)
    assert cli("catalog")["events"] == "5"


def test_a_rule_is_run_saved_and_checked(cli: Cli, tmp_path: Path) -> None:
    file, profiles = tmp_path / "events.csv", tmp_path / "customers.csv"
    file.write_text(CSV)
    profiles.write_text("id,city\na,Pune\n")
    cli("import", str(file))
    assert cli("customers", "import", str(profiles))["accepted"] == 1
    rule = json.dumps({"all": {"rules": [SPENDERS, {"profile": {}}]}})
    ran = cli("run", rule, "--fields", "city", "--nodes", "--all")
    assert (ran["members"], ran["nodeSizes"]) == ([{"customerId": "a", "data": {"city": "Pune"}}], [1, 1, 3])
    saved = cli("save", "Spenders", rule)["cohort"]
    assert cli("list")["cohorts"][0]["cohortId"] == saved["cohortId"]
    assert cli("members", "Spenders")["members"] == ran["members"]
    assert cli("check", "a", "Spenders")["results"] == [{"cohortId": saved["cohortId"], "member": True}]
    assert cli("check", "a")["cohorts"][0]["name"] == "Spenders"
    newest = cli("customers", "events", "a", "--limit", "1")["events"]
    assert newest[0]["data"] == {"price": 30, "zip": "01234"}
