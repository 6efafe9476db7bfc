"""Which projects has a process open? Each is opened once, when it is first asked for, and closed at the end.

Neighbours: `compose`, which says what there is to open of a project.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

import structlog

from libs.errors import Fault, Unavailable, frames
from libs.storage.directory import Directory
from libs.storage.projects import Project

LOOK_SECONDS = 0.5
"""How often it is looked for projects that are new."""

T = TypeVar("T")

log = structlog.get_logger()


class Opened(Generic[T]):
    """What a process has open of each project. For one event loop."""

    def __init__(self, directory: Directory, opening: Callable[[Project], Awaitable[T]]) -> None:
        self._directory = directory
        self._opening = opening
        self._open: dict[str, T] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def all(self) -> list[T]:
        """Return those that are open, in the order of their opening."""
        return list(self._open.values())

    def found(self, project_id: str) -> T | None:
        """Return what is open of a project; None where nothing is."""
        return self._open.get(project_id)

    async def open(self, project: Project) -> T:
        """Open a project where it is not, and return it. Raises what opening raises."""
        async with self._locks.setdefault(project.project_id, asyncio.Lock()):
            if project.project_id not in self._open:
                self._open[project.project_id] = await self._opening(project)
            return self._open[project.project_id]

    async def get(self, project_id: str) -> T:
        """Return what a call of a project needs. Raises `Unavailable` where it cannot be opened."""
        found = self._open.get(project_id)
        if found is not None:
            return found
        project = self._directory.contents().projects.get(project_id)
        if project is None:
            raise _not_there()
        try:
            return await self.open(project)
        except Fault:
            raise
        except Exception as error:
            log.error(
                "project cannot be opened",
                project=project_id,
                error=type(error).__name__,
                where=frames(error),
            )
            raise _not_there() from error

    async def keep_all(self) -> None:
        """Open every project that there is and that comes, one after another, until cancelled."""
        tried: set[str] = set()
        while True:
            for project_id in self._missing(tried):
                tried.add(project_id)  # one that fails is tried again by the next call, and was logged
                try:
                    await self.get(project_id)
                except Fault:
                    continue
            await asyncio.sleep(LOOK_SECONDS)

    def _missing(self, tried: set[str]) -> Iterable[str]:
        return [each for each in self._directory.contents().projects if each not in tried]


def _not_there() -> Unavailable:
    return Unavailable("PROJECT_UNAVAILABLE", "this project cannot be served now; the server's log says why")
