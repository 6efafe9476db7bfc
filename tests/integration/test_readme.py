"""The documents say what the program does: their commands are run, their lists compared with what they list."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.processes import ROOT, connected, serve, started

README = (ROOT / "README.md").read_text()
TESTED = re.compile(r"<!-- tested -->\n```sh\n(.*?)```.*?<!-- printed -->\n```\n(.*?)```", re.DOTALL)
PROCESSES = re.compile(r"<!-- processes -->\n```sh\n(.*?)```", re.DOTALL)
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org"]
PLACES = re.compile(r"(?<![\w.}-])/(?:work/|root/|home/|tmp/wt)")
STARTED_BY_README = "127.0.0.1:50051"


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which `cohort` is this checkout's, and buf the one of the development environment."""
    script = tmp_path / "bin" / "cohort"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m libs.cli.main "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def like(shown: str) -> re.Pattern[str]:
    """Return a pattern of output as a document shows it: `…` stands for anything, spaces at ends for nothing."""
    lines = (".*".join(map(re.escape, line.rstrip().split("…"))) + r" *" for line in shown.splitlines())
    return re.compile("\n".join(lines) + "\n")


def test_the_first_cohort_is_what_the_readme_says(shell: dict[str, str], tmp_path: Path) -> None:
    blocks = TESTED.findall(README)
    assert [block.split()[0] for block, _ in blocks] == ["cat", "buf"]
    with started() as start:
        server = start(*serve(tmp_path / "data")).listening()
        shell["COHORT_TARGET"] = server.target
        for block, printed in blocks:
            commands = block.replace(STARTED_BY_README, server.target)
            ran = subprocess.run(
                ["sh", "-euc", commands], env=shell, cwd=tmp_path, capture_output=True, text=True, timeout=120
            )
            assert ran.returncode == 0, ran.stderr
            assert like(printed).fullmatch(ran.stdout), ran.stdout
        again = start("--target", server.target, "import", str(tmp_path / "events.csv"), "--json")
        code, out, _ = again.ended()
        assert (code, json.loads(out)["duplicates"]) == (0, 6)
        with connected(server) as api:
            assert api.call("GetCatalog")["events"] == "7"  # six of the file, one sent by buf
    assert (tmp_path / "audience.csv").read_text().splitlines() == ["customerId", "ann"]


def test_the_three_processes_are_started_as_the_readme_says(tmp_path: Path) -> None:
    [block] = PROCESSES.findall(README)
    key, *commands = block.strip().splitlines()
    environment = {"COHORT_API_KEY": key.removeprefix("export COHORT_API_KEY=")}
    running = {}
    with started() as start:
        for command in commands:
            program, service, *rest = command.split()
            assert program == "cohort"
            words = ["127.0.0.1:0" if before == "--listen" else word for before, word in pairs(rest)]
            words = [str(tmp_path) if before == "--data-dir" else word for before, word in pairs(words)]
            if "--cohort-target" in words:
                words[-1] = running["cohort"].target
            running[service] = start(service, *words, **environment).listening()
        assert list(running) == ["ingest", "cohort", "sync"]
        options = [f"--{name}-target={process.target}" for name, process in running.items()]
        code, out, errors = start(*options, "syncs", "list", **environment).ended()
        assert (code, errors) == (0, "")
        assert "last run" in out


def pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each word with the one before it."""
    return zip(["", *words], words, strict=False)


def test_health_says_whether_a_server_serves(tmp_path: Path) -> None:
    with started() as start:
        server = start(*serve(tmp_path / "data")).listening()
        code, out, _ = start("--target", server.target, "health").ended()
        assert (code, out) == (0, f"{server.target} serves\n")
        server.terminate()
        code, _, errors = start("--target", server.target, "health").ended()
        assert code == 1
        assert "cannot reach" in errors


def test_every_dependency_has_its_line_and_every_line_its_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {(name_of(one), "") for one in project["dependencies"]}
    wanted |= {(name_of(one), extra) for extra, listed in extras.items() for one in listed}
    wanted = {(name, extra) for name, extra in wanted if name != "cohort"}
    _, _, table = README.partition("## Dependencies")
    listed = set()
    for line in table.splitlines()[4:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == 3, line
        assert all(cells), line
        names, _, extra = cells[0].partition(" (extra `")
        listed |= {(name, extra.removesuffix("`)")) for name in names.split(", ")}
    assert listed == wanted


def name_of(requirement: str) -> str:
    """Return the name of a package without its versions and extras."""
    return re.split(r"[><=~!\[; ]", requirement)[0]


def test_every_test_that_the_architecture_names_is_there() -> None:
    named = NAMED_TEST.findall((ROOT / "ARCHITECTURE.md").read_text())
    assert len(named) > 15
    missing = [
        (file, test)
        for file, test in named
        if not (ROOT / file).exists() or f"def {test}" not in (ROOT / file).read_text()
    ]
    assert not missing


def test_no_file_names_a_registry_or_a_place_on_a_developers_machine() -> None:
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in files:
        text = (ROOT / name).read_text(errors="replace")
        assert not [host for host in HOSTS if host in text], name
        assert not PLACES.search(text), name
