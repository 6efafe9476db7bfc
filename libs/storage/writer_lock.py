"""Who may write in a folder? One process at a time, which holds it until it closes or dies."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from libs.storage.failures import Locked


class WriterLock:
    """Holds a folder for one writing process, until closed or dead. Raises `Locked`.

    The folder itself is locked beside its `writer.lock`: that file says who holds it and what older versions look
    at, but a person who takes it for left over and removes it would let a second writer in.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(folder / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._descriptor, 32).decode(errors="replace").strip() or "unknown"
            self.close()
            raise Locked(
                f"{folder} is in use by another server (process {holder}); stop it, or use another --data-dir"
            ) from None
        with suppress(OSError):  # it only says who; on a full disk the lock itself is held all the same
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def close(self) -> None:
        """Let others write."""
        os.close(self._folder)
        os.close(self._descriptor)
