"""Does `cohort customers` show what erasures wait for, and confirm them by hand?"""

from libs.errors import Missing
from libs.gen.cohort.v1 import ingest_pb2
from tests.contract.conftest import Cli
from tests.fakes.services import Fakes


def listed(fakes: Fakes, awaits_compaction: bool = False) -> None:
    """Have two erasures be listed: one waits for two destinations, one for whoever works on it first."""
    waits = [ingest_pb2.ErasureWait(destination_name=name, reason="UNREACHABLE") for name in ("crm", "ads")]
    alone = [ingest_pb2.ErasureWait(reason="NO_REPORT")]
    fakes.answers["ListErasures"] = ingest_pb2.ListErasuresResponse(
        erasures=[
            ingest_pb2.Erasure(erasure_id="ers_1", customer_id="ann", waits_for=waits),
            ingest_pb2.Erasure(erasure_id="ers_2", customer_id="bob", waits_for=alone),
        ],
        awaits_compaction=awaits_compaction,
    )


def test_each_erasure_says_what_it_waits_for(fakes: Fakes, cli: Cli) -> None:
    listed(fakes)
    result = cli("customers", "erasures")
    ann, bob = (next(line for line in result.stdout.splitlines() if who in line) for who in ("ann", "bob"))
    assert "crm: UNREACHABLE, ads: UNREACHABLE" in ann
    assert bob.rstrip().endswith(" NO_REPORT")
    assert "cohort compact" not in result.stderr


def test_the_list_says_that_a_compaction_is_to_come(fakes: Fakes, cli: Cli) -> None:
    listed(fakes, awaits_compaction=True)
    assert "cohort compact" in cli("customers", "erasures").stderr
    assert fakes.last("ListErasures").with_compaction


def test_all_that_are_listed_are_confirmed(fakes: Fakes, cli: Cli) -> None:
    listed(fakes)
    fakes.answers["ConfirmErasure"] = ingest_pb2.ConfirmErasureResponse()
    result = cli("customers", "confirm", "--all")
    assert "confirmed 2 erasures" in result.stdout
    assert fakes.last("ConfirmErasure").erasure_id == "ers_2"


def test_one_that_was_confirmed_already_is_an_error_by_name_alone(fakes: Fakes, cli: Cli) -> None:
    listed(fakes)
    fakes.answers["ConfirmErasure"] = Missing("ERASURE_NOT_FOUND", "no such erasure", "erasure")
    assert cli("customers", "confirm", "--all").exit_code == 0
    assert cli("customers", "confirm", "ers_1").exit_code != 0


def test_nothing_is_confirmed_unless_it_is_said_what(fakes: Fakes, cli: Cli) -> None:
    assert "--all" in cli("customers", "confirm").stderr
    assert "--all" in cli("customers", "confirm", "ers_1", "--all").stderr
