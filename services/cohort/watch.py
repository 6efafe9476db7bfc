"""Who has entered and left a cohort since? Feeds: one a watched cohort, shared by all who watch it.

A feed holds the members it knew last and a bounded history of changes. It looks again when something was
committed or saved, or when time alone may have changed the answer, and it does so on behalf of those who watch:
with nobody there nothing runs, and with a slow client alone nothing grows. A client that falls behind the
history, or comes back to a feed that is no longer held, lists again (`OutOfRange`). A feed that nobody watches
is held for ten minutes; who comes back by then gets what has changed meanwhile as one change.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice

from pyroaring import BitMap

from libs.clock import Clock
from libs.errors import Missing, OutOfRange, Unavailable
from libs.index.evaluate import customers
from services.cohort.passing import next_change
from services.cohort.position import Place, read_position, write_position
from services.cohort.rule import Rule
from services.cohort.run import Moment, Runner
from services.cohort.store import CohortStore

POLL_SECONDS = 0.2
"""How often a feed asks whether there is anything new: two reads of a few bytes."""
REST = 9
"""After a look a feed rests for nine times what it took: watching costs at most a tenth of a core."""
PIECE = 1_000
"""Customers of one message."""
MAX_CHANGES = 1_000
MAX_HELD = 1_000_000
"""Changes, and customers in them, that a feed holds for those who are behind; the last change whatever its size."""
HELD_SECONDS = 600.0
MAX_IDLE = 64
"""Feeds that are held though nobody watches, the last left: a member set of 10M customers has up to 1.25 MB."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look was of: a revision, as a token, and an instant, ms. Holds no snapshot."""

    revision: str
    as_of: int


@dataclass(frozen=True, slots=True)
class Change:
    """Who entered and who left at one look."""

    entered: BitMap
    left: BitMap
    seen: Seen

    def __len__(self) -> int:
        return len(self.entered) + len(self.left)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found: members, how they differ from those before, and when to look again though nothing happens.

    `versions` are the revision of the log and of the saved cohorts; `seconds` is what it took.
    """

    members: BitMap
    change: Change | None
    seen: Seen
    versions: tuple[int, int]
    due_at: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Piece:
    """What one message says: customer ids, what they were computed at, and where to go on."""

    entered: list[str]
    left: list[str]
    seen: Seen
    position: str


class Feed:
    """The entries and exits of one cohort. Raises `Missing` once the cohort is deleted."""

    def __init__(self, cohort_id: str, runner: Runner, store: CohortStore, clock: Clock) -> None:
        self.place_id = Place.new_feed()
        self.watchers = 0
        self.members: BitMap | None = None
        self._cohort_id = cohort_id
        self._runner, self._store, self._clock = runner, store, clock
        self._changes: deque[Change] = deque()
        self._first = 0  # the number of the first change held
        self._held = 0  # customers in them
        self._seen = Seen("", 0)
        self._versions = (-1, -1)
        self._due_at: int | None = 0
        self._rest_until = 0.0
        self._turn = asyncio.Lock()

    @property
    def end(self) -> Place:
        """The place behind all changes."""
        return Place(self.place_id, self._first + len(self._changes), 0)

    async def refresh(self, *, at_once: bool = False) -> None:
        """Look again if there is cause to, and the feed has rested; `at_once`: rested or not."""
        async with self._turn:
            if not at_once and time.monotonic() < self._rest_until:
                return
            self._rest_until = time.monotonic() + POLL_SECONDS / 2
            if self._cause():
                self._take(await asyncio.to_thread(self._look))

    def _cause(self) -> bool:
        versions = (self._runner.engine.revision(), self._store.version)
        return versions != self._versions or (self._due_at is not None and self._clock() >= self._due_at)

    def _look(self) -> Look:
        """Evaluate, in a thread; changes nothing, so that a call may be cancelled meanwhile."""
        started, version = time.monotonic(), self._store.version
        record = self._store.get(self._cohort_id)
        moment = self._runner.moment(None, "")
        now = self._runner.members(record, moment)
        seen = Seen(moment.revision, moment.as_of)
        change = None
        if self.members is not None and self.members != now:
            change = Change(now - self.members, self.members - now, seen)
        versions = (moment.snapshot.position.revision, version)
        return Look(now, change, seen, versions, self._next_change(moment), time.monotonic() - started)

    def _take(self, look: Look) -> None:
        self.members, self._seen = look.members, look.seen
        self._versions, self._due_at = look.versions, look.due_at
        self._rest_until = time.monotonic() + max(POLL_SECONDS / 2, REST * look.seconds)
        if look.change is not None:
            self._add(look.change)

    def _next_change(self, moment: Moment) -> int | None:
        def rule_of(cohort_id: str) -> Rule | None:
            record = self._store.get(cohort_id)
            return None if record.static else self._runner.rule_of(record)

        snapshot, calendar = moment.snapshot, self._runner.engine.calendar
        return next_change(self._cohort_id, rule_of, moment.as_of, snapshot.latest, calendar)

    def _add(self, change: Change) -> None:
        self._changes.append(change)
        self._held += len(change)
        while len(self._changes) > MAX_CHANGES or (self._held > MAX_HELD and len(self._changes) > 1):
            self._held -= len(self._changes.popleft())
            self._first += 1

    def start(self) -> Piece:
        """Say where the feed is, with nobody entering or leaving."""
        return Piece([], [], self._seen, write_position(self._cohort_id, self.end))

    def piece(self, place: Place) -> tuple[Piece, Place] | None:
        """Return the next piece behind a place and the place behind it, None at the end. Raises `OutOfRange`."""
        end = self.end
        if place.feed != end.feed or not self._first <= place.change <= end.change:
            raise not_held()
        if place.change == end.change:
            return None
        change = next(islice(self._changes, place.change - self._first, None))
        entered = customers(change.entered, place.offset, PIECE)
        behind = max(place.offset - len(change.entered), 0)
        left = customers(change.left, behind, PIECE - len(entered))
        offset = place.offset + len(entered) + len(left)
        following = Place(place.feed, place.change, offset)
        if offset >= len(change):
            following = Place(place.feed, place.change + 1, 0)
        ids = self._runner.engine.customer_ids
        position = write_position(self._cohort_id, following)
        return Piece(ids(entered), ids(left), change.seen, position), following


class Watches:
    """The feeds there are. For the event loop's thread."""

    def __init__(self, runner: Runner, store: CohortStore, clock: Clock) -> None:
        self._runner, self._store, self._clock = runner, store, clock
        self._feeds: dict[str, Feed] = {}
        self._idle: dict[str, asyncio.TimerHandle] = {}  # in the order in which they were left
        self._ending = asyncio.Event()

    async def watch(self, cohort_id: str, position: str) -> AsyncGenerator[Piece, None]:
        """Yield who enters and leaves from now on, or from behind a position, until the server stops.

        From now on, the first piece says at once from where, and has nobody. Raises `Missing`, `Invalid` for
        what is no position of this cohort, `OutOfRange` for one no longer held.
        """
        self._store.get(cohort_id)
        place = read_position(cohort_id, position) if position else None
        with self._joined(cohort_id, place) as feed:
            await feed.refresh(at_once=True)
            if place is None:
                place = feed.end
                yield feed.start()
            while not self._ending.is_set():
                while found := feed.piece(place):
                    piece, place = found
                    yield piece
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), POLL_SECONDS)
                await feed.refresh()
        raise Unavailable("SHUTTING_DOWN", "the server is shutting down; list again when it is back")

    def end(self) -> None:
        """End every watch: the server stops."""
        self._ending.set()
        while self._idle:
            self._idle.popitem()[1].cancel()

    @contextmanager
    def _joined(self, cohort_id: str, place: Place | None) -> Iterator[Feed]:
        feed = self._feeds.get(cohort_id)
        if place is not None and (feed is None or feed.place_id != place.feed):
            raise not_held()
        if feed is None:
            feed = self._feeds[cohort_id] = Feed(cohort_id, self._runner, self._store, self._clock)
        if cohort_id in self._idle:
            self._idle.pop(cohort_id).cancel()
        feed.watchers += 1
        try:
            yield feed
        except Missing:  # the cohort was deleted
            self._feeds.pop(cohort_id, None)
            raise
        finally:
            feed.watchers -= 1
            if not feed.watchers and self._feeds.get(cohort_id) is feed:
                self._leave(cohort_id, feed)

    def _leave(self, cohort_id: str, feed: Feed) -> None:
        """Hold a feed that nobody watches any more for a while, in case somebody comes back."""
        if feed.members is None or self._ending.is_set():
            del self._feeds[cohort_id]
            return
        loop = asyncio.get_running_loop()
        self._idle[cohort_id] = loop.call_later(HELD_SECONDS, self._drop, cohort_id)
        while len(self._idle) > MAX_IDLE:
            self._drop(next(iter(self._idle)))

    def _drop(self, cohort_id: str) -> None:
        self._idle.pop(cohort_id).cancel()
        del self._feeds[cohort_id]


def not_held() -> OutOfRange:
    """Say that a position is no longer held."""
    return OutOfRange(
        "POSITION_NOT_HELD",
        "what came behind this position is no longer held; list the members again, then watch",
    )
