"""What makes a project? The rules of its id, time zone and window, without wire or storage."""

import re

from libs.errors import Invalid, Overloaded, Taken
from libs.events.writer import DEDUPE_WINDOW_MS
from libs.storage.directory import Change
from libs.storage.projects import Project, check_zone

PROJECT_ID = re.compile(r"[a-z0-9-]{1,64}")
MAX_PROJECTS = 100
"""One process opens all of them, at 1 TiB of address space for each log: 128 TiB is what there is."""
LEAST_WINDOW_MS = 60_000
MOST_WINDOW_MS = 366 * 24 * 3600 * 1000


def new_project(project_id: str, time_zone: str, dedupe_window: int | None, now: int) -> Project:
    """Return a project to make. `dedupe_window` is in ms, None for 7 days. Raises `Invalid`."""
    if not PROJECT_ID.fullmatch(project_id):
        raise Invalid(
            "INVALID_PROJECT_ID", "a project_id has 1 to 64 of a-z, 0-9 and -", "project.project_id"
        )
    window = DEDUPE_WINDOW_MS if dedupe_window is None else dedupe_window
    if not LEAST_WINDOW_MS <= window <= MOST_WINDOW_MS:
        raise Invalid(
            "INVALID_DEDUPE_WINDOW", "a dedupe_window is 1 minute to 366 days", "project.dedupe_window"
        )
    return Project(project_id, check_zone(time_zone or "UTC", "project.time_zone"), now, window)


def add_project(changes: Change, project: Project) -> None:
    """Keep a new project. Raises `Taken`, `Overloaded`."""
    if changes.project(project.project_id) is not None:
        raise Taken(
            "PROJECT_EXISTS",
            f"there is a project {project.project_id} already",
            "project",
            project.project_id,
        )
    if changes.count_projects() >= MAX_PROJECTS:
        raise Overloaded("TOO_MANY_PROJECTS", f"one server holds {MAX_PROJECTS} projects at most", 3600.0)
    changes.put_project(project)
