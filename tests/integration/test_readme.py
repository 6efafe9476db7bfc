"""The README says what the program does: its commands are run, its lists compared with what they list."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.integration.processes import ROOT, serve, started

README = (ROOT / "README.md").read_text()
TESTED = re.compile(r"<!-- tested -->\n```sh\n(.*?)```", re.DOTALL)
HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org"]
PLACES = ["/" + "work/main", "/tmp/" + "wt-", "/root" + "/.pyenv"]


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which `cohort` is this checkout's."""
    script = tmp_path / "bin" / "cohort"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m libs.cli.main "$@"\n')
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def test_the_first_cohort_is_what_the_readme_says(shell: dict[str, str], tmp_path: Path) -> None:
    [walk] = TESTED.findall(README)
    with started() as start:
        server = start(*serve(tmp_path / "data")).listening()
        shell["COHORT_TARGET"] = server.target
        ran = subprocess.run(
            ["sh", "-euc", walk], env=shell, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "audience.csv").read_text().splitlines() == ["customerId", "ann"]
    assert "1 customer as of" in ran.stdout


def test_health_says_whether_a_server_serves(tmp_path: Path) -> None:
    with started() as start:
        server = start(*serve(tmp_path / "data")).listening()
        code, out, _ = start("--target", server.target, "health").ended()
        assert (code, out) == (0, f"{server.target} serves\n")
        server.terminate()
        code, _, errors = start("--target", server.target, "health").ended()
        assert code == 1
        assert "cannot reach" in errors


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    names = {re.split(r"[><=\[]", one)[0] for one in wanted} - {"cohort"}
    listed = {
        name for line in README.splitlines() if line.startswith("|") for name in re.findall(r"[\w-]+", line)
    }
    assert names - listed == set()


def test_no_file_names_a_registry_or_a_place_on_a_developers_machine() -> None:
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in files:
        text = (ROOT / name).read_text(errors="replace")
        assert not [place for place in (*HOSTS, *PLACES) if place in text], name
