import subprocess
import sys

import pytest
from typer.testing import CliRunner

from libs.cli.main import app
from libs.errors import NotBuilt, Overloaded
from libs.gen.cohort.v1 import ingest_pb2
from tests.contract.conftest import Cli
from tests.fakes.services import Fakes, running_fakes


def test_an_unreachable_server_is_named_with_what_to_do() -> None:
    result = CliRunner().invoke(app, ["--target", "127.0.0.1:1", "catalog"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: cannot reach 127.0.0.1:1: start a server with `cohort serve`")
    assert result.stderr.count("\n") == 1


def test_the_address_of_one_service_can_differ(fakes: Fakes) -> None:
    fakes.answers["GetCatalog"] = ingest_pb2.GetCatalogResponse(events=5)
    targets = ["--target", "127.0.0.1:1", "--ingest-target", fakes.target]
    result = CliRunner().invoke(app, [*targets, "catalog"])
    assert result.exit_code == 0
    assert "5 events" in result.stdout


def test_target_and_key_come_from_the_environment() -> None:
    with running_fakes("sesame") as fakes:
        fakes.answers["GetCatalog"] = ingest_pb2.GetCatalogResponse()
        named = {"COHORT_TARGET": fakes.target}
        assert CliRunner().invoke(app, ["catalog"], env=named | {"COHORT_API_KEY": "sesame"}).exit_code == 0
        refused = CliRunner().invoke(app, ["catalog"], env=named | {"COHORT_API_KEY": "no"})
    assert refused.exit_code == 1
    assert "--api-key" in refused.stderr


@pytest.mark.parametrize(
    "fault", [NotBuilt("NOT_BUILT_YET", "not served yet"), Overloaded("OVERLOADED", "no room")]
)
def test_what_a_server_says_is_the_line(fakes: Fakes, cli: Cli, fault: Exception) -> None:
    fakes.answers["GetCatalog"] = fault
    assert cli("catalog").stderr == f"error: {fault}\n"


def test_ctrl_c_exits_with_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("libs.cli.names.cohorts", interrupted)
    assert cli("list").exit_code == 130


def test_help_needs_no_server_and_every_command_has_an_example() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "libs.cli.main", "--help"], capture_output=True, text=True, check=True
    )
    assert "import" in shown.stdout
    for command in _commands(app):
        assert "Example: cohort " in (command.callback.__doc__ or ""), command.name


def _commands(group: object) -> list[object]:
    found = list(group.registered_commands)  # type: ignore[attr-defined]
    for one in group.registered_groups:  # type: ignore[attr-defined]
        found += _commands(one.typer_instance)
    return found
