"""What do erasures wait for? What the sync service said last, held in memory.

It says so again every few seconds, so nothing is lost by a restart. Held for erasures that are listed alone: as many
as those, each with a few short strings.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass

from libs.errors import Invalid
from libs.events.erasures import read_id
from libs.gen.cohort.v1 import ingest_pb2

MAX_REPORTS = 10_000
MAX_WAITS = 20
"""Syncs named for one erasure: who has more of them sees the first."""
MAX_NAME_BYTES = 256
MAX_REASON_BYTES = 64
NO_REPORT = "NO_REPORT"


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that an erasure waits for: the sync, its destination and that one's name, and why, UPPER_SNAKE."""

    sync_id: str
    destination_id: str
    destination_name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was said of an erasure, and when (ms)."""

    waits: tuple[Wait, ...]
    time: int


NOTHING_SAID = Report((Wait("", "", "", NO_REPORT),), 0)
ACKNOWLEDGED = Report((Wait("", "", "", "COMPACTION"),), 0)
"""Of an erasure that no destination keeps: the bytes are still to go."""


class Waiting:
    """The last report of each erasure, by its key."""

    def __init__(self) -> None:
        self._reports: dict[bytes, Report] = {}

    def note(self, reports: Iterable[tuple[bytes, tuple[Wait, ...]]], now: int) -> None:
        """Take in reports of erasures that are listed."""
        self._reports.update((key, Report(waits, now)) for key, waits in reports)

    def of(self, key: bytes) -> Report:
        """Return what was said last of an erasure: `NOTHING_SAID` where that is nothing."""
        return self._reports.get(key, NOTHING_SAID)

    def keep(self, listed: Container[bytes]) -> None:
        """Forget all erasures but these."""
        self._reports = {key: report for key, report in self._reports.items() if key in listed}

    def __len__(self) -> int:
        return len(self._reports)


def read_reports(request: ingest_pb2.ReportErasuresRequest) -> list[tuple[bytes, tuple[Wait, ...]]]:
    """Return (key, what it waits for) of every report, less those of what is no id. Raises `Invalid`."""
    if len(request.reports) > MAX_REPORTS:
        raise Invalid(
            "BATCH_TOO_LARGE",
            f"{len(request.reports)} reports, at most {MAX_REPORTS} are taken at once; split them",
            "reports",
        )
    read = []
    for place, report in enumerate(request.reports):
        waits = tuple(_read_wait(wait, f"reports[{place}].waits_for") for wait in report.waits_for)
        if len(waits) > MAX_WAITS:
            raise Invalid("BATCH_TOO_LARGE", f"at most {MAX_WAITS} are taken", f"reports[{place}].waits_for")
        key = read_id(report.erasure_id)
        if key and waits:
            read.append((key, waits))
    return read


def _read_wait(wait: ingest_pb2.ErasureWait, field: str) -> Wait:
    names = wait.sync_id, wait.destination_id, wait.destination_name
    if (
        max(len(name.encode()) for name in names) > MAX_NAME_BYTES
        or len(wait.reason.encode()) > MAX_REASON_BYTES
    ):
        raise Invalid(
            "TOO_LONG", f"a name has at most {MAX_NAME_BYTES} bytes, a reason {MAX_REASON_BYTES}", field
        )
    return Wait(*names, wait.reason)


def write_report(report: Report, erasure: ingest_pb2.Erasure) -> None:
    """Write a report into the erasure it is of."""
    for wait in report.waits:
        erasure.waits_for.add(
            sync_id=wait.sync_id,
            destination_id=wait.destination_id,
            destination_name=wait.destination_name,
            reason=wait.reason,
        )
    if report.time:
        erasure.report_time.FromMilliseconds(report.time)
