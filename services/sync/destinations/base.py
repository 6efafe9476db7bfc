"""What must a destination do? The two ways to deliver, and how delivery fails.

A *feed* takes changes a page at a time and acknowledges each; a *snapshot* takes the full set and puts it in
place of the one before at once. `services.sync.run` knows these two and no type of destination.

    DeliveryError          the message is for people: no secret and no personal data in it
    ├── Untaken            for certain, nothing of what was sent was taken
    ├── Exhausted          it was tried again as often as is done, in vain
    ├── Passing            it may pass: trying again later can help
    │   └── Throttled      there were too many calls: everybody who calls there is to wait
    └── Blocked            a person must do something first: the sync is paused
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import msgspec

from services.sync.delivered import Removal
from services.sync.members import Member
from services.sync.model import Mode

UNMATCHED = "UNMATCHED"
"""The customer has nothing of what the destination knows people by."""
INVALID = "INVALID"
"""The customer has something of it, but nothing that can be right."""
KEY_BYTES = 16
"""A digest of a whole profile, which is compared with the one before of the same customer alone."""
REFUSED = "REFUSED"
"""The destination did not take the customer."""


class DeliveryError(Exception):
    """The destination did not take what was sent, and trying again at once will not help."""


class Untaken(DeliveryError):
    """The destination said no to the whole page, the first time it saw it."""


class Exhausted(DeliveryError):
    """What may pass did not, however often it was tried."""


class Passing(DeliveryError):
    """A failure that may pass. `retry_after` is what the destination asked for, in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Throttled(Passing):
    """Too many calls; not only this one is to wait."""


class Blocked(DeliveryError):
    """A failure that lasts until a person does something. `reason` is UPPER_SNAKE, for programs.

    `logged` is what a log says in its place, which holds no word of a destination.
    """

    def __init__(self, reason: str, message: str, logged: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.logged = logged or reason


@dataclass(frozen=True, slots=True)
class Opening:
    """For whom a feed is opened. `audience` is what it answered when it was first opened for this sync."""

    sync_id: str
    run_id: str
    cohort_id: str
    cohort_name: str
    mode: Mode = Mode.MIRROR
    audience: str = ""
    adds: int = 0
    """How many customers are to be added at most, by the plan."""
    removes: int = 0


@dataclass(frozen=True, slots=True)
class Addition:
    """A customer to add. `key` is what the feed made of it, kept for the day it is to be removed."""

    member: Member
    key: bytes = b""

    @property
    def customer_id(self) -> str:
        """The customer."""
        return self.member.entry.customer_id


@dataclass(frozen=True, slots=True)
class Unmatchable:
    """A customer that the feed cannot take. `reason` is UPPER_SNAKE."""

    reason: str = UNMATCHED


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the changes of a run; removes are to be applied before adds.

    `number` counts from 1 to `pages`. The page that has the last adds says so in `last_adds`, and the same
    for removes.
    """

    opening: Opening
    number: int
    pages: int
    adds: Sequence[Addition]
    removes: Sequence[Removal]
    last_adds: bool = True
    last_removes: bool = True


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a page: the customers that were not taken, each with the reason."""

    refused: Mapping[str, str] = field(default_factory=dict)
    passing: frozenset[str] = frozenset()
    """Those of them that may be taken another time though nothing about them changes."""


async def go_on() -> None:
    """Go on: nobody stops."""


class Target(ABC):
    """An opened destination. `attempts` counts the calls made to it, retries included.

    `check_going` is to be awaited in long waits: it raises where the run is to stop.
    """

    attempts: int = 0
    check_going: Callable[[], Awaitable[None]] = staticmethod(go_on)
    fields: Sequence[str] | None = None
    """The profile attributes that additions must have; None: all."""
    replaces: bool = False
    """Whether adding somebody who is there puts the new profile in place of the old one."""

    @property
    def keying(self) -> bytes:
        """What keys are made of, beside profiles: where it is another than before, so may the keys be."""
        return b"profile"

    def keys(self, members: Sequence[Member]) -> list[bytes | Unmatchable]:
        """Return what each member is known by: of the same key, nothing has changed for the destination.

        Called in a thread, as it may take long.
        """
        return [_digest(member) for member in members]

    @abstractmethod
    async def check(self) -> str:
        """Try it without sending any customer; return what was tried. Raises `DeliveryError`."""

    async def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Let go of connections."""


def _digest(member: Member) -> bytes:
    encoded = msgspec.msgpack.encode(member.profile, order="sorted")
    return hashlib.blake2b(encoded, digest_size=KEY_BYTES).digest()


class Feed(Target):
    """A destination that takes changes. `page_size` is the most customers a page may have."""

    page_size: int
    modes: frozenset[Mode] = frozenset({Mode.MIRROR, Mode.ADD_ONLY})
    by_key: bool = False
    """Whether it knows people by their key alone, so that two customers with one key are one person there."""

    sends_profiles: bool = False
    """Whether pages show profiles; elsewhere the key is all that is sent."""

    def state(self) -> bytes:
        """Return what pages behind this one need to know of those before, where the run is cut off in between."""
        return b""

    def restore(self, state: bytes) -> None:
        """Go on where `state` was asked for."""

    async def prepare(self) -> None:
        """Find out what it wants (`page_size`, `fields`, `modes`), and change nothing. Raises `DeliveryError`.

        Comes before everything else of a run and of a preview.
        """

    async def open(self, opening: Opening) -> str:
        """Find or make the audience and return its name for later openings. Raises `DeliveryError`.

        Comes before the pages of a run that has something to send.
        """
        return opening.audience

    def calls(self, page: Page) -> int:
        """Return how many calls a page takes where nothing goes wrong."""
        return 1

    def calls_beside(self, audience: str) -> int:
        """Return how many calls a run takes beside those for its pages; `audience` is empty before the first."""
        return 0

    @abstractmethod
    async def send(self, page: Page) -> Receipt:
        """Deliver a page; returning acknowledges it. A repeat must do no harm. Raises `DeliveryError`."""

    async def finish(self, opening: Opening, held: int) -> Sequence[str]:
        """End a run that has sent everything; return what people should know. Raises `DeliveryError`.

        `held` is how many customers the destination has now.
        """
        return ()


class Snapshot(Target):
    """A destination that takes the full set."""

    modes: ClassVar[frozenset[Mode]] = frozenset({Mode.MIRROR, Mode.REPLACE})

    @abstractmethod
    async def remove(self, customer_ids: frozenset[str]) -> None:
        """Take these out of what is there, if anything is, and leave the rest as it is. Raises `DeliveryError`."""

    replaces = True

    @abstractmethod
    async def replace(self, members: AsyncIterator[Sequence[Member]]) -> None:
        """Put all of these in place of what was there, at once or not at all. Raises `DeliveryError`."""
