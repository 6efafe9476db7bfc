"""Which projects are there, and how are they set? Written by ingest, read by all three services.

There is one project, `default`, until the issue on trust brings more.
"""

from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from libs.errors import Invalid
from libs.storage.environment import Absent, Environment

VERSION = 1
DEFAULT = "default"


class Project(msgspec.Struct, frozen=True):
    """The settings of a project: its id, its IANA time zone, when it was made (ms)."""

    project_id: str
    time_zone: str
    create_time: int

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which its calendar days are."""
        return ZoneInfo(self.time_zone)


def ensure_default(data_dir: Path, time_zone: str | None, now: int) -> Project:
    """Return the default project, making it in `time_zone` (None: UTC) where there is none.

    Raises `Invalid` for an unknown zone, or one that differs from the zone the project was made with.
    """
    try:
        ZoneInfo(time_zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            "UNKNOWN_TIME_ZONE", f"{time_zone!r} is no IANA time zone such as Europe/Berlin"
        ) from None
    environment = Environment(data_dir / "projects", "project settings", VERSION, ("projects",))
    try:
        with environment.write() as txn:
            found = txn.get(DEFAULT.encode(), db=environment["projects"])
            if found is None:
                project = Project(DEFAULT, time_zone or "UTC", now)
                txn.put(DEFAULT.encode(), msgspec.json.encode(project), db=environment["projects"])
                return project
        project = msgspec.json.decode(found, type=Project)
    finally:
        environment.close()
    if time_zone and time_zone != project.time_zone:
        raise Invalid(
            "TIME_ZONE_FIXED",
            f"project {DEFAULT} was made in time zone {project.time_zone}, which cannot change: its calendar "
            f"days would mean other days. Leave --time-zone out, or use another --data-dir",
        )
    return project


def read_default(data_dir: Path) -> Project | None:
    """Return the default project, or None where nobody has made it yet."""
    try:
        environment = Environment(
            data_dir / "projects", "project settings", VERSION, ("projects",), readonly=True
        )
    except Absent:
        return None
    try:
        with environment.read() as txn:
            found = txn.get(DEFAULT.encode(), db=environment["projects"])
    finally:
        environment.close()
    return msgspec.json.decode(found, type=Project) if found else None
