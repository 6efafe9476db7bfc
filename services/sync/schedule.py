"""When does a sync run next? Pure arithmetic on instants; nothing here reads a clock or keeps a timer.

The same schedule, anchor and seed always give the same instants, so a restart changes nothing: jitter too is
drawn from the seed (the sync's id) and the instant it delays, and never reaches the instant behind. Intervals
are integers of ms from the anchor; days and cron expressions are `services.sync.local_times`, as APScheduler's
own CronTrigger may fire twice where clocks show a time twice. `services.sync.scheduler` waits for the instants.
"""

import hashlib
from dataclasses import dataclass
from datetime import date, time

from libs.zones import ZoneInfo
from services.sync import cron
from services.sync.local_times import LocalTimes
from services.sync.model import HOUR_MS, Cron, Daily, Every, Hourly, Once, Schedule, Weekly

CATCHUP_MS = HOUR_MS
"""How old a missed run may be and still be made up for, where a schedule does not say: one hour."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """The instants of one sync: those of `schedule` from `anchor` on, where clocks are those of `zone`.

    `anchor` (ms) is when the schedule was set; `seed` is what its jitter is drawn from.
    """

    schedule: Schedule
    anchor: int
    zone: ZoneInfo
    seed: str = ""

    def next(self, after: int) -> int | None:
        """Return the first start later than `after`, jitter included, in ms; None for `once`, which has none."""
        following = self._following(after)
        if following is None or not self.schedule.jitter:
            return following
        latest = self._latest(after)
        if latest is not None and latest > self.anchor and (delayed := self._delayed(latest)) > after:
            return delayed
        return self._delayed(following)

    def is_missed(self, due: int, now: int, least: int = 0) -> bool:
        """Return whether a run that was `due` and did not happen is to be made up for at `now`.

        Of several missed instants only the latest counts, so that a long downtime costs one run at most.
        `least` is what the catch-up window is at least, in ms.
        """
        asked = self.schedule.catchup_window
        window = max(least, CATCHUP_MS if asked is None else asked)
        instant = self.next(max(due, now - window) - 1)
        return instant is not None and instant <= now

    def _delayed(self, instant: int) -> int:
        """Return when the run of an instant starts: up to the jitter later, and before the next instant."""
        following = self._following(instant)
        most = self.schedule.jitter if following is None else min(self.schedule.jitter, following - instant)
        drawn = hashlib.blake2b(f"{self.seed} {instant}".encode(), digest_size=8).digest()
        return instant + (int.from_bytes(drawn, "big") * most >> 64)

    def _following(self, after: int) -> int | None:
        rhythm = _interval_or_times(self.schedule)
        if isinstance(rhythm, int):
            return self.anchor + ((after - self.anchor) // rhythm + 1) * rhythm
        return rhythm.after(after, self.zone) if rhythm else None

    def _latest(self, until: int) -> int | None:
        rhythm = _interval_or_times(self.schedule)
        if isinstance(rhythm, int):
            return self.anchor + (until - self.anchor) // rhythm * rhythm
        return rhythm.until(until, self.zone) if rhythm else None


def _interval_or_times(schedule: Schedule) -> int | LocalTimes | None:
    match schedule.rhythm:
        case Once():
            return None
        case Every(interval):
            return interval
        case Hourly():
            return HOUR_MS
        case Daily(at):
            return LocalTimes(_every_day, (time.fromisoformat(at),))
        case Weekly(day, at):
            return LocalTimes(lambda one: one.isoweekday() == day, (time.fromisoformat(at),))
        case Cron(expression):
            return cron.parse(expression)


def _every_day(_: date) -> bool:
    return True
