"""What is in a data directory? Its LMDB environments and the files beside them, found by where they lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from libs.cli.errors import Failed

KINDS = {"projects": "projects", "events": "log", "cohort": "cohort", "sync": "sync"}
"""What the environments under a folder of the data directory are."""
DATA = "data.mdb"


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
    """Return the environments of a data directory. Raises `Failed` where there are none."""
    found = [
        Part(KINDS[path.relative_to(data_dir).parts[0]], path.parent) for path in _environments(data_dir)
    ]
    if not found:
        raise Failed(f"{data_dir} is no data directory: there is nothing of Cohort in it")
    return found


def _environments(data_dir: Path) -> Iterator[Path]:
    for name in KINDS:
        yield from sorted([*(data_dir / name).glob(DATA), *(data_dir / name).glob(f"*/{DATA}")])


def disk_bytes(folder: Path) -> int:
    """Return what the files in a folder and below take on disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
