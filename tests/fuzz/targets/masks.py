"""Resources of the sync service, and update masks: what is changed of them, and what is refused."""

import tempfile
from pathlib import Path

from libs.gen.cohort.v1 import cohort_pb2, sync_pb2
from services.cohort.messages import UPDATABLE, read_fields
from services.sync import incoming, settings
from services.sync.model import Destination, DestinationId
from tests.fuzz.targets import Target
from tests.fuzz.targets.messages import Chooser, built, seed
from tests.fuzz.targets.worlds import World

PATHS = (
    *(
        "name",
        "description",
        "rule",
        "schedule",
        "mode",
        "max_remove_fraction",
        "webhook",
        "webhook.url",
        "file",
    ),
    *(
        "webhook.signing_secret",
        "file.path",
        "grpc.target",
        "facebook_ads.ad_account_id",
        "*",
        "",
        "webhook.",
        ".",
    ),
)
FOLDER = Path(tempfile.mkdtemp(prefix="cohort-fuzz-"))
DESTINATIONS = (
    sync_pb2.Destination(
        name="d",
        webhook={"url": "https://example.com/x", "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    ),
    sync_pb2.Destination(name="d", file={"path": "/tmp/out.csv", "format": "CSV"}),
    sync_pb2.Destination(name="d", grpc={"target": "example.com:443"}),
    sync_pb2.Destination(
        name="d", facebook_ads={"ad_account_id": "act_1", "access_token": "t", "match_keys": ["EMAIL"]}
    ),
)
SYNCS = (
    sync_pb2.Sync(
        cohort_id="c", destination_id="d", schedule={"cron": {"expression": "*/5 9-17 * JAN MON-FRI"}}
    ),
    sync_pb2.Sync(
        cohort_id="c",
        destination_id="d",
        schedule={"weekly": {"day": "MONDAY", "time": "09:00"}, "time_zone": "UTC"},
    ),
    sync_pb2.Sync(
        cohort_id="c",
        destination_id="d",
        schedule={"every": {"duration": {"seconds": 60}}, "jitter": {"seconds": 5}},
    ),
)


def _mask(data: bytes) -> tuple[list[str], bytes]:
    """Take the paths of a mask off bytes: known ones, and any text."""
    choose = Chooser(data)
    paths = [choose.of(PATHS) for _ in range(choose.number(3))]
    if choose.number(3) == 0:
        paths.append(choose.taken(20).decode(errors="replace"))
    return paths, data[8:]


def update_masks() -> Target:
    """UpdateCohort, UpdateDestination and UpdateSync: masks with what they name."""
    calendar = World().engine.calendar
    before = []
    for number, destination in enumerate(DESTINATIONS):
        read = settings.settings(destination, FOLDER)
        before.append(Destination(DestinationId(f"dst_{number}"), "d", read, 0, 0))

    def run(data: bytes) -> None:
        which = data[0] % 6 if data else 0
        paths, rest = _mask(data[1:])
        if which == 0:
            cohort = built(rest, cohort_pb2.Cohort)
            read_fields(cohort, tuple(path for path in paths if path in UPDATABLE), calendar)
        elif which == 1:
            incoming.sync_change(built(rest, sync_pb2.Sync), paths)
        else:
            settings.changed_destination(built(rest, sync_pb2.Destination), paths, before[which - 2], FOLDER)

    return Target(
        run, [bytes([which]) + bytes(8) + seed(each) for which in range(6) for each in DESTINATIONS]
    )


def syncs() -> Target:
    """CreateDestination and CreateSync: addresses, secrets, schedules, time zones."""

    def run(data: bytes) -> None:
        if data[:1] < b"\x80":
            settings.settings(built(data[1:], sync_pb2.Destination), FOLDER)
        else:
            incoming.sync_draft(built(data[1:], sync_pb2.Sync))

    return Target(run, [b"\0" + seed(d) for d in DESTINATIONS] + [b"\x80" + seed(s) for s in SYNCS])
