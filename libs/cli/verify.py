"""Is everything on disk what was written? `cohort verify`."""

import json
import os
import subprocess  # nosec B404 # runs this program itself
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from libs.cli.errors import Failed
from libs.cli.meter import Meter
from libs.cli.options import Json, MasterKeyFile
from libs.cli.output import count, note, say
from libs.cli.parts import Part, damaged_notes, disk_bytes, missing_from, parts_of
from libs.storage.master_key import FILE_NAME, FILE_VARIABLE, VARIABLE, KeyFault, kept
from libs.storage.verify import REBUILT, RESTORE

DataDir = Annotated[Path, typer.Option("--data-dir", help="The data directory; a server may run on it.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    data_dir: DataDir = Path("data"), master_key_file: MasterKeyFile = None, as_json: Json = False
) -> None:
    """Read everything in a data directory and name each damage. Exits 1 where there is any.

    Reads blocks, dictionaries, profiles, segments, the files kept for a start, saved cohorts and syncs, each against
    its checksum, and compares them with one another. What is sealed is opened, where its key is at hand. Changes
    nothing. A server may run on the directory.

    Example: cohort verify --data-dir data
    """
    found = find_damage(data_dir, master_key_file)
    if as_json:
        sys.stdout.write(json.dumps({"findings": found.damage, "notes": found.notes}) + "\n")
    else:
        for finding in found.damage:
            say(f"{finding['path']}: {finding['what']}\n    {finding['advice']}")
        for each in found.notes:
            note(each)
    if found.damage:
        raise Failed(f"{count(len(found.damage), 'damage', 'damages')} in {data_dir}")
    if not as_json:
        say(f"{data_dir} is whole")


@dataclass(frozen=True, slots=True)
class Found:
    """What a check has come upon: path, what and advice of each damage; and what could not be looked at."""

    damage: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_damage(data_dir: Path, master_key_file: Path | None = None) -> Found:
    """Check every part of a data directory, with progress. A key that was given is tried on what is sealed."""
    parts = parts_of(data_dir)
    found = Found()
    try:
        kept(data_dir)
    except KeyFault as error:
        key = str(data_dir / FILE_NAME)
        found.damage.append(
            {"path": key, "what": str(error), "advice": "bring it back from where you keep it"}
        )
    for path in missing_from(data_dir):
        what = "it is not there, and was made here: start no server, which would refuse to"
        found.damage.append({"path": str(path), "what": what, "advice": RESTORE})
    for path in damaged_notes(data_dir):
        found.damage.append({"path": str(path), "what": "it is not what was written", "advice": REBUILT})
    with Meter(disk_bytes(data_dir)) as meter:
        for part in parts:
            meter.at(str(part.folder.relative_to(data_dir)))
            for kind, folder in _checks(part):
                for step in _steps(data_dir, kind, folder, master_key_file):
                    if "read" in step:
                        meter.add(step["read"])
                    elif "note" in step:
                        found.notes.append(step["note"])
                    else:
                        found.damage.append(step["finding"])
    return found


def _checks(part: Part) -> list[tuple[str, Path]]:
    own = (part.kind, part.folder)
    return [own, ("index", part.folder / "index")] if part.kind == "log" else [own]


def _steps(data_dir: Path, kind: str, folder: Path, master_key_file: Path | None) -> Iterator[dict[str, Any]]:
    """Check a part in a process of its own; one that dies of a damaged page is a finding."""
    command = [sys.executable, "-m", "libs.cli.verify_part", str(data_dir), kind, str(folder)]
    given = {FILE_VARIABLE: str(master_key_file), VARIABLE: ""} if master_key_file else {}
    with subprocess.Popen(  # nosec B603 # our own interpreter and words, no shell
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **given}
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
