"""Is there room on the disk? Asked before something is begun that would die, or stay half done, without.

LMDB maps a table of readers that it makes sparse: the first use of a page of it on a full disk ends the process by
SIGBUS. And half of its first two pages, written as the disk filled up, would be damage to every later start.
"""

import errno
import os
import tempfile
from pathlib import Path

from libs.errors import Overloaded

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOCK_BYTES = 1 << 16
"""More than LMDB's table of so many readers takes. Were it sparse, as LMDB makes it, a new reader on a full disk
would die of SIGBUS."""
NEW_BYTES = 1 << 18
"""What a new environment needs: its table of readers and its first pages, with some to spare."""
PROJECT_BYTES = 1 << 20
"""What a new project needs: three environments, and its folders."""
SPARE_BYTES = 16 << 20
"""With less than this free on the disk, a write that failed has failed for want of room."""
PROBE_BYTES = 1 << 20
"""More than most commits take, so that a disk with room for a page does not count as one with room."""


def is_full(folder: Path) -> bool:
    """Say whether a folder has no room to write: its disk is full, or this process may not have more of it."""
    status = os.statvfs(folder)
    if status.f_bavail * status.f_frsize < SPARE_BYTES:
        return True
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            os.posix_fallocate(probe.fileno(), 0, PROBE_BYTES)
    except OSError as error:
        return error.errno in FULL
    return False


def check_room(folder: Path, size: int, kind: str) -> None:
    """Raise `Overloaded` where a folder has not `size` bytes of room for a beginning of `kind`."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            os.posix_fallocate(probe.fileno(), 0, size)
    except OSError as error:
        _refuse_full(error, kind)


def _refuse_full(error: OSError, kind: str) -> None:
    if error.errno in FULL:
        raise Overloaded("STORAGE_FULL", f"the disk is full: no room to begin {kind}", 5.0) from error


def allocate(path: Path, kind: str) -> None:
    """Have the whole of LMDB's lock file on disk before LMDB maps it. Before it is opened: closing it ends locks.

    Raises `Overloaded` where there is no room: LMDB would map it all the same, and the process would die of SIGBUS.
    One that is there whole needs no room.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        _refuse_full(error, kind)
        raise
    try:
        os.posix_fallocate(descriptor, 0, max(LOCK_BYTES, os.fstat(descriptor).st_size))
    except OSError as error:  # where it is for another reason, LMDB says so
        _refuse_full(error, kind)
    finally:
        os.close(descriptor)
