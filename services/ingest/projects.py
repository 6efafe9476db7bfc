"""What makes a project? The rules of its id, time zone and window, without wire or storage."""

import re
from collections.abc import Sequence

import msgspec

from libs.errors import Invalid, Overloaded, Taken
from libs.events.writer import DEDUPE_WINDOW_MS
from libs.storage.directory import Change
from libs.storage.projects import Project, Quota, check_zone

PROJECT_ID = re.compile(r"[a-z0-9-]{1,64}")
LIMITS = Quota.__struct_fields__
"""Names of limits, on the wire too."""
MAX_PROJECTS = 100
"""One process opens all of them, at 1 TiB of address space for each log: 128 TiB is what there is."""
LEAST_WINDOW_MS = 60_000
MOST_WINDOW_MS = 366 * 24 * 3600 * 1000
FREE_KEY_SECONDS = 60.0
"""After which a client may look again for a key that was revoked, or a limit that was raised."""


def new_project(
    project_id: str, time_zone: str, dedupe_window: int | None, now: int, quota: Quota
) -> Project:
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
    zone = check_zone(time_zone or "UTC", "project.time_zone")
    return Project(project_id, zone, now, window, check_quota(quota))


def check_quota(quota: Quota) -> Quota:
    """Return limits that are all 1 or more, or absent. Raises `Invalid`."""
    for name in LIMITS:
        value = getattr(quota, name)
        if value is not None and value < 1:
            raise Invalid(
                "INVALID_LIMIT", f"{name} is 1 or more; leave it out for none", f"project.limits.{name}"
            )
    return quota


def changed_quota(before: Quota, wanted: Quota, paths: Sequence[str]) -> Quota:
    """Return limits with those that an update mask names as they are wanted. Raises `Invalid`."""
    named = {
        name for path in paths for name in (LIMITS if path == "limits" else [path.removeprefix("limits.")])
    }
    known = {"limits", *(f"limits.{name}" for name in LIMITS)}
    if not paths or not known.issuperset(paths):
        raise Invalid(
            "INVALID_UPDATE_MASK", f"name what to change, of {', '.join(sorted(known))}", "update_mask"
        )
    return msgspec.structs.replace(before, **{name: getattr(wanted, name) for name in named})


def check_room_for_key(changes: Change, project_id: str) -> None:
    """Raise `Overloaded` where a project has as many keys as it may."""
    project = changes.project(project_id)
    limit = project.quota.api_keys if project else None
    if limit is not None and changes.count_keys(project_id) >= limit:
        raise Overloaded(
            "API_KEYS_LIMIT",
            f"this project may have {limit} API keys; revoke one, or ask the operator for more",
            FREE_KEY_SECONDS,
        )


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
    changes.check_room()
    changes.put_project(project)
