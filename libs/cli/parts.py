"""What is in a data directory? Its LMDB environments and the files beside them, found by where they lie."""

import os
from dataclasses import dataclass
from pathlib import Path

from libs.cli.errors import Failed
from libs.storage import made
from libs.storage.checked import DamagedRecordError

KINDS = {"projects": "projects", "events": "log", "cohort": "cohort", "sync": "sync"}
"""What the environments under a folder of the data directory are."""
DATA = "data.mdb"
TENANTS = "tenants"
"""Where the projects but the first have their folders."""


@dataclass(frozen=True, slots=True)
class Part:
    """One environment: what it is, and its folder."""

    kind: str
    folder: Path

    @property
    def data(self) -> Path:
        """The file of the environment."""
        return self.folder / DATA


def parts_of(data_dir: Path) -> list[Part]:
    """Return the environments of all projects of a data directory. Raises `Failed` where there are none."""
    found = []
    for root in [data_dir, *sorted((data_dir / TENANTS).glob("*"))]:
        for name, kind in KINDS.items():
            files = sorted([*(root / name).glob(DATA), *(root / name).glob(f"*/{DATA}")])
            found += [Part(kind, path.parent) for path in files]
    if not found and not any(made.notes(data_dir)):
        raise Failed(f"{data_dir} is no data directory: there is nothing of Cohort in it")
    if unknown := set(data_dir.rglob(DATA)) - {part.data for part in found}:
        raise Failed(f"{sorted(unknown)[0]} is of no part that is known; nothing was done")
    return found


def missing_from(data_dir: Path) -> list[Path]:
    """Return the data files that were made in a data directory, by its notes, and are not there."""
    files = [data_dir / each.folder / DATA for each in map(_made, made.notes(data_dir)) if each]
    return [path for path in files if not path.exists()]


def damaged_notes(data_dir: Path) -> list[Path]:
    """Return the notes of what was made that cannot be read."""
    return [note for note in made.notes(data_dir) if _made(note) is None]


def _made(note: Path) -> made.Made | None:
    try:
        return made.read(note)
    except DamagedRecordError:
        return None


def keep_private() -> None:
    """Have what this process makes be its user's alone to read: customers' data, and sync's own credential."""
    os.umask(0o077)


def disk_bytes(folder: Path) -> int:
    """Return what the files in a folder and below take on disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
