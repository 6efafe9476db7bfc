"""What must a destination do? The two ways to deliver, and how delivery fails.

A *feed* takes changes a page at a time and acknowledges each; a *snapshot* takes the full set and puts it in
place of the one before at once. `services.sync.run` knows these two and no type of destination.

    DeliveryError          the message is for people: no secret and no personal data in it
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from services.sync.members import Member


class DeliveryError(Exception):
    """The destination did not take what was sent, and trying again at once will not help."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the changes of a run. `number` counts from 1 to `pages`."""

    sync_id: str
    run_id: str
    cohort_id: str
    cohort_name: str
    number: int
    pages: int
    adds: Sequence[Member]
    removes: Sequence[str]


class Target(ABC):
    """An opened destination. `attempts` counts the calls made to it, retries included."""

    attempts: int = 0

    @abstractmethod
    async def check(self) -> str:
        """Try it without sending any customer; return what was tried. Raises `DeliveryError`."""

    async def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Let go of connections."""


class Feed(Target):
    """A destination that takes changes. `page_size` is the most customers a page may have."""

    page_size: int

    @abstractmethod
    async def send(self, page: Page) -> None:
        """Deliver a page; returning acknowledges it. A repeat must do no harm. Raises `DeliveryError`."""


class Snapshot(Target):
    """A destination that takes the full set."""

    @abstractmethod
    async def replace(self, members: AsyncIterator[Sequence[Member]]) -> None:
        """Put all of these in place of what was there, at once or not at all. Raises `DeliveryError`."""
