"""When do clocks on the wall show given times on given days? Arithmetic on instants, forwards and backwards.

A time that clocks skip is at the first instant behind the gap, one that they show twice at the first of the two,
so a change of clocks neither skips nor doubles. Only what is due in every hour of the day goes by the clocks as
they are: the hour that comes twice has its times twice, or there would be an hour's pause.

Instants are ms since 1970, UTC. Neighbours: `services.sync.schedule`, which knows schedules, and
`services.sync.cron`, which reads expressions.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from libs.zones import ZoneInfo

DAY = timedelta(days=1)
MOST_DAYS = 366 * 41
"""How far to look: a 29 February on a given day of the week is at most 40 years off."""


@dataclass(frozen=True, slots=True)
class LocalTimes:
    """Times of the day, in order, on the days that `is_on` takes. `each_hour`: they are in every hour."""

    is_on: Callable[[date], bool]
    times: tuple[time, ...]
    each_hour: bool = False

    def after(self, instant: int, zone: ZoneInfo) -> int | None:
        """Return the first of these later than `instant`; None where there is none for 40 years."""
        for day in self._days(_local_date(instant, zone) - DAY, DAY):
            near = [*self._near(day, instant, zone), *self._near(day + DAY, instant, zone)]
            later = [one for one in near if one > instant]
            if later:
                return min(later)
        return None

    def until(self, instant: int, zone: ZoneInfo) -> int | None:
        """Return the last of these not later than `instant`; None where there was none for 40 years."""
        for day in self._days(_local_date(instant, zone) + DAY, -DAY):
            near = [*self._near(day, instant, zone), *self._near(day - DAY, instant, zone)]
            earlier = [one for one in near if one <= instant]
            if earlier:
                return max(earlier)
        return None

    def _days(self, first: date, step: timedelta) -> Iterator[date]:
        day = first
        for _ in range(MOST_DAYS):
            if self.is_on(day):
                yield day
            day += step

    def _near(self, day: date, instant: int, zone: ZoneInfo) -> Iterator[int]:
        """Yield what is nearest to `instant` on a day, on either side, in each showing of an hour shown twice."""
        if not self.is_on(day):
            return
        for fold in (0, 1) if self.each_hour else (0,):
            place = bisect_right(self.times, instant, key=lambda at: _instant(day, at, zone, fold))
            for places in (range(place, len(self.times)), range(place - 1, -1, -1)):
                wanted = (self.times[one] for one in places)
                found = next((at for at in wanted if not self.each_hour or _is_shown(day, at, zone)), None)
                if found is not None:
                    yield _instant(day, found, zone, fold)


def _local_date(instant: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(instant / 1000, zone).date()


def _instant(day: date, at: time, zone: ZoneInfo, fold: int) -> int:
    """Return when clocks show a time for the first (0) or last (1) time on a day; if skipped, the gap's end."""
    local = datetime.combine(day, at)
    earlier, later = _readings(local, zone)
    if _shows(earlier, local, zone):
        return (later if fold else earlier) * 1000
    # Skipped: the two readings lie on either side of the change, which is the instant looked for.
    behind = _offset(later, zone)
    span = range(earlier, later + 1)
    return span[bisect_left(span, True, key=lambda second: _offset(second, zone) == behind)] * 1000


def _is_shown(day: date, at: time, zone: ZoneInfo) -> bool:
    local = datetime.combine(day, at)
    return _shows(_readings(local, zone)[0], local, zone)


def _readings(local: datetime, zone: ZoneInfo) -> tuple[int, int]:
    """Return the two instants (s) that a local time may mean, in order: the same but where clocks change."""
    first, second = (round(local.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    return (first, second) if first <= second else (second, first)


def _shows(second: int, local: datetime, zone: ZoneInfo) -> bool:
    return datetime.fromtimestamp(second, UTC).astimezone(zone).replace(tzinfo=None) == local


def _offset(second: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(second, zone).utcoffset()
