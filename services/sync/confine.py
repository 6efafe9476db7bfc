"""Where may the files of a project lie? Anywhere for the first project, in a folder of its own for others.

A file is written with the rights of the server, so one tenant must not name the files of another, or of the
machine; and a storage elsewhere is reached with the credentials of the server.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from libs.errors import Invalid
from libs.storage.projects import DEFAULT
from services.sync.destinations.file_places import scheme_of
from services.sync.model import FileSettings, Settings

Confine = Callable[[Settings], None]
"""Raises `Invalid` for the settings of a destination that may not be where they say."""


def anywhere(settings: Settings) -> None:
    """Take whatever the settings say."""


def confined(project_id: str, folder: Path | None) -> Confine:
    """Return what checks the destinations of a project. `folder` holds a folder for each tenant; None: no files."""
    if project_id == DEFAULT:
        return anywhere
    return partial(_within, folder / project_id if folder else None)


def _within(folder: Path | None, settings: Settings) -> None:
    if not isinstance(settings, FileSettings):
        return
    field = "destination.file.path"
    if folder is None:
        raise Invalid(
            "FILES_NOT_ALLOWED",
            "projects other than the first have file destinations where the server has --tenant-files",
            field,
        )
    scheme = scheme_of(settings.path)
    local = urlsplit(settings.path).path if scheme else settings.path
    inside = Path(os.path.realpath(local)).is_relative_to(os.path.realpath(folder))
    if scheme not in ("", "file", "local") or not inside:
        raise Invalid("INVALID_PATH", f"the files of this project lie in {folder}", field)
