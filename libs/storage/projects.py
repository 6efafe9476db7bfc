"""What is a project, and where is its data? Its settings, and its folders in the data directory.

Neighbour: `directory`, which keeps them.
"""

from pathlib import Path

import msgspec

from libs.errors import Invalid
from libs.zones import ZoneInfo, ZoneInfoNotFoundError

VERSION = 1
DEFAULT = "default"


class Quota(msgspec.Struct, frozen=True):
    """What a project may take of its server; None: no limit. Numbers are 1 or more."""

    events_per_second: int | None = None
    """Events and customers sent in a second."""
    log_bytes: int | None = None
    """Bytes in use in the event log."""
    api_keys: int | None = None
    """API keys that are not revoked."""


class Project(msgspec.Struct, frozen=True):
    """The settings of a project: its id, its IANA time zone, when it was made (ms), and its limits."""

    project_id: str
    time_zone: str
    create_time: int
    dedupe_window: int = 7 * 24 * 3600 * 1000
    """How long (ms) after its arrival an event's id is remembered."""
    quota: Quota = Quota()

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which its calendar days are."""
        return ZoneInfo(self.time_zone)


def check_zone(time_zone: str, field: str = "") -> str:
    """Return the name of a zone. Raises `Invalid` for one that IANA does not know."""
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            "UNKNOWN_TIME_ZONE", f"{time_zone!r} is no IANA time zone such as Europe/Berlin", field
        ) from None
    return time_zone


def same_zone(project: Project, time_zone: str | None) -> None:
    """Raise `Invalid` where a project was made in another zone than is asked for now."""
    if time_zone and time_zone != project.time_zone:
        raise Invalid(
            "TIME_ZONE_FIXED",
            f"project {project.project_id} was made in time zone {project.time_zone}, which cannot change: its "
            f"calendar days would mean other days. Leave --time-zone out, or use another --data-dir",
        )


def root_of(data_dir: Path, project_id: str) -> Path:
    """Return the folder of a project's environments: the data directory itself for the first project."""
    return data_dir if project_id == DEFAULT else data_dir / "tenants" / project_id


def log_folder(data_dir: Path, project_id: str) -> Path:
    """Return the folder of a project's event log."""
    return root_of(data_dir, project_id) / "events" / project_id
