from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from libs.cli.main import app
from tests.fakes.services import Fakes, running_fakes

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def served() -> Iterator[Fakes]:
    with running_fakes() as fakes:
        yield fakes


@pytest.fixture
def fakes(served: Fakes) -> Fakes:
    """All services, faked, without answers or requests of earlier tests."""
    served.answers.clear()
    served.requests.clear()
    return served


@pytest.fixture
def cli(fakes: Fakes) -> Cli:
    """Runs `cohort --target FAKES ARGUMENTS…`; has exit_code, stdout and stderr."""
    runner = CliRunner()

    def run(*arguments: str, stdin: str | None = None) -> Any:
        return runner.invoke(app, ["--target", fakes.target, *arguments], input=stdin)

    return run
