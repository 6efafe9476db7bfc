"""Where may the files of a project lie? In a folder of its own, or for the first project anywhere but a few places.

A file is written with the rights of the server, so one project must not name the files of another, those that hold
keys, or those of the data itself; and a storage elsewhere is reached with the credentials of the server. It is asked
when a destination is saved and each time it is opened, as folders change and servers are started otherwise.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from libs.errors import Invalid
from libs.storage.projects import DEFAULT
from services.sync.destinations.file_places import local_path
from services.sync.model import FileSettings, Settings

Confine = Callable[[Settings], None]
"""Raises `Invalid` for the settings of a destination that may not be where they say."""
FIELD = "destination.file.path"


@dataclass(frozen=True, slots=True)
class Places:
    """Where files may lie, as the server was told.

    `tenants` holds a folder for each project but the first, None: they have no files. `first` is the folder of the
    first project, None: anywhere, but for what is `kept`: files and folders that no destination may name.
    """

    tenants: Path | None = None
    first: Path | None = None
    kept: Sequence[Path] = ()


def anywhere(settings: Settings) -> None:
    """Take whatever the settings say."""


def confined(project_id: str, places: Places) -> Confine:
    """Return what checks the destinations of a project."""
    if project_id != DEFAULT:
        return partial(_within, places.tenants / project_id if places.tenants else None)
    if places.first:
        return partial(_within, places.first)
    kept = [*places.kept, *([places.tenants] if places.tenants else [])]
    return partial(_outside, kept)


def _within(folder: Path | None, settings: Settings) -> None:
    if not isinstance(settings, FileSettings):
        return
    if folder is None:
        raise Invalid(
            "FILES_NOT_ALLOWED",
            "projects other than the first have file destinations where the server has --tenant-files",
            FIELD,
        )
    local, real = local_path(settings.path), Path(os.path.realpath(folder))
    if local is None or not folder.is_dir() or real not in Path(os.path.realpath(local)).parents:
        raise Invalid(
            "INVALID_PATH", f"the files of this project lie in {folder}, which must be there", FIELD
        )


def _outside(kept: Sequence[Path], settings: Settings) -> None:
    local = local_path(settings.path) if isinstance(settings, FileSettings) else None
    if local is None:
        return
    real = Path(os.path.realpath(local))
    if any(real.is_relative_to(os.path.realpath(each)) for each in kept):
        raise Invalid("INVALID_PATH", "the server keeps this place for something else", FIELD)
