"""Is everything on disk what was written? `cohort verify`."""

import json
import subprocess  # nosec B404 # runs this program itself
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from libs.cli.errors import Failed
from libs.cli.meter import Meter
from libs.cli.options import Json
from libs.cli.output import count, say
from libs.cli.parts import Part, disk_bytes, parts_of
from libs.storage.verify import RESTORE

DataDir = Annotated[Path, typer.Option("--data-dir", help="The data directory; a server may run on it.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(data_dir: DataDir = Path("data"), as_json: Json = False) -> None:
    """Read everything in a data directory and name each damage. Exits 1 where there is any.

    Reads blocks, dictionaries, profiles, segments, the files kept for a start, saved cohorts and syncs, each against
    its checksum, and compares them with one another. Changes nothing. A server may run on the directory.

    Example: cohort verify --data-dir data
    """
    findings = find_damage(data_dir)
    if as_json:
        sys.stdout.write(json.dumps({"findings": findings}) + "\n")
    for finding in [] if as_json else findings:
        say(f"{finding['path']}: {finding['what']}\n    {finding['advice']}")
    if findings:
        raise Failed(f"{count(len(findings), 'damage', 'damages')} in {data_dir}")
    if not as_json:
        say(f"{data_dir} is whole")


def find_damage(data_dir: Path) -> list[dict[str, str]]:
    """Check every part of a data directory, with progress; return path, what and advice of each damage."""
    parts = parts_of(data_dir)
    findings: list[dict[str, str]] = []
    with Meter(disk_bytes(data_dir)) as meter:
        for part in parts:
            meter.at(str(part.folder.relative_to(data_dir)))
            for kind, folder in _checks(part):
                for step in _steps(kind, folder):
                    if "read" in step:
                        meter.add(step["read"])
                    else:
                        findings.append(step["finding"])
    return findings


def _checks(part: Part) -> list[tuple[str, Path]]:
    own = (part.kind, part.folder)
    return [own, ("index", part.folder / "index")] if part.kind == "log" else [own]


def _steps(kind: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Check a part in a process of its own; one that dies of a damaged page is a finding."""
    command = [sys.executable, "-m", "libs.cli.verify_part", kind, str(folder)]
    with subprocess.Popen(  # nosec B603 # our own interpreter and words, no shell
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            yield json.loads(line)
        errors = process.stderr.read()
    if process.returncode < 0:
        what = f"reading it ends the process that reads (signal {-process.returncode}): a page of the file"
        yield {"finding": {"path": str(folder / "data.mdb"), "what": what, "advice": RESTORE}}
    elif process.returncode:
        raise Failed(
            f"checking {folder} failed: {errors.strip().splitlines()[-1] if errors else 'no reason'}"
        )
