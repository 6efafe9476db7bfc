"""When was each key last used? Each process notes it in memory and writes a small file of its own now and then.

Only ingest may write the environment of keys, and a write on every call would cost an fsync, so uses are kept
beside it: `use-SERVICE.json`, at most `FLUSH_SECONDS` behind, replaced whole. Losing one loses no access.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

FLUSH_SECONDS = 5.0
"""How far the file is behind; a kill loses this much."""

log = structlog.get_logger()


class KeyUse:
    """The last use (ms) of each key, by its id, as this process has seen it. For one event loop."""

    def __init__(self, data_dir: Path, service: str) -> None:
        self._folder = data_dir / "projects"
        self._file = self._folder / f"use-{service}.json"
        self._noted: dict[str, int] = {}
        self._written: dict[str, int] = {}

    def note(self, key_id: str, now: int) -> None:
        """Remember a use."""
        self._noted[key_id] = now

    def last_uses(self) -> dict[str, int]:
        """Return the last use of each key in any process; of others as far as they have written."""
        found = dict(self._noted)
        for file in self._folder.glob("use-*.json"):
            for key_id, time in _read(file).items():
                found[key_id] = max(time, found.get(key_id, 0))
        return found

    async def keep(self) -> None:
        """Write what is new every few seconds, until cancelled; then once more."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await asyncio.to_thread(self.flush)
        finally:
            self.flush()

    def flush(self) -> None:
        """Write what is new, over what earlier processes wrote. A disk that refuses costs the times alone."""
        noted = dict(self._noted)
        if noted == self._written or not self._folder.exists():
            return
        earlier = _read(self._file)
        whole = earlier | {key: max(time, earlier.get(key, 0)) for key, time in noted.items()}
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_bytes(msgspec.json.encode(whole))
            os.replace(fresh, self._file)
        except OSError as error:
            log.warning("last uses of keys not written", error=type(error).__name__)
            return
        self._written = noted


def _read(file: Path) -> dict[str, int]:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(file.read_bytes(), type=dict[str, int])
    return {}
