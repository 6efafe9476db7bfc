"""Where does a file go, and how does it get there whole? A folder of this machine, or a URL of fsspec.

On this machine it is written beside the one before and renamed to it, fsynced; a part that a kill has left is removed
when the file is next touched, and when sync starts. Elsewhere it is written to an unnamed file, which ends with the
process, and then put under its name in one upload, which object storage shows when it is complete. What libraries of
storage say may hold secrets, so only the kind of their failures is told.
"""

import contextlib
import os
import stat
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from services.sync.destinations.base import DeliveryError

OBJECT_STORAGE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "ocilake"})
"""Where a URL names a bucket and no host, so that anybody may name one. Others are for --destination-host."""
HOSTED = frozenset({"sftp", "ssh", "ftp", "smb", "hdfs"})
"""Storage at a host of one's own. Not HTTP: its libraries follow redirects, and proxies of the environment."""
TRIAL = "memory"
"""In the process's own memory: to try with."""
STORAGE = OBJECT_STORAGE | HOSTED | {TRIAL}
LONGEST_NAME = 64
"""Characters of a file's name in that of its part: a file system takes 255 bytes."""

Write = Callable[[BinaryIO], None]
Rewrite = Callable[[BinaryIO, BinaryIO], None]
"""Reads the one and writes the other."""


class Place(ABC):
    """Where one file goes."""

    @abstractmethod
    def put(self, write: Write) -> None:
        """Write the file and put it in place of the one before, at once. Raises `DeliveryError`."""

    @abstractmethod
    def rewrite(self, rewrite: Rewrite) -> None:
        """Make the file anew from the one that is there, if there is one. Raises `DeliveryError`."""

    @abstractmethod
    def check(self) -> str:
        """Try to write and clean up; return what was tried. Raises `DeliveryError`."""

    def clean(self) -> None:  # noqa: B027 - elsewhere nothing is left
        """Remove what a killed process may have left beside the file."""


def place_of(path: str) -> Place:
    """Return the place that a path or URL names."""
    local = local_path(path)
    return Remote(path) if local is None else Folder(local)


def local_path(path: str) -> Path | None:
    """Return the path on this machine that a path or URL names, None where that is elsewhere."""
    scheme = scheme_of(path)
    if not scheme:
        return Path(path)
    return Path(urlsplit(path).path) if scheme in ("file", "local") else None


def scheme_of(path: str) -> str:
    """Return the scheme of a URL in lower case, "" for a path."""
    scheme, separator, _ = path.partition("://")
    return scheme.lower() if separator else ""


class Folder(Place):
    """A file on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, write: Write) -> None:
        """Write beside the file and rename."""
        self._in_place(write, keep=True)

    def rewrite(self, rewrite: Rewrite) -> None:
        """Read the file, and write beside it and rename."""
        with told("the file cannot be read"):
            self.clean()
            if not self._path.exists():
                return
            with self._path.open("rb") as source:
                self.put(lambda stream: rewrite(source, stream))

    def check(self) -> str:
        """Make a file in the folder and remove it."""
        self._in_place(lambda stream: None, keep=False)
        return f"{self._path.parent} can be written to"

    def clean(self) -> None:
        """Remove the parts of a process that was killed."""
        for keep in (True, False):
            self._part(keep).unlink(missing_ok=True)

    def _part(self, keep: bool) -> Path:
        """Return the name of what is written before it gets ours, or is a trial."""
        return self._path.with_name(f".{self._path.name[:LONGEST_NAME]}.{'part' if keep else 'trial'}")

    def _in_place(self, write: Write, *, keep: bool) -> None:
        """Write a file beside ours, fsync it and, to `keep` it, rename it to ours."""
        with told("the file cannot be written in its folder"):
            self._check_kind()
            part = self._part(keep)
            part.unlink(missing_ok=True)
            descriptor = os.open(
                part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            try:
                with open(descriptor, "wb") as stream:
                    write(stream)
                    stream.flush()
                    with contextlib.suppress(FileNotFoundError):  # a new file is its owner's alone
                        os.fchmod(stream.fileno(), stat.S_IMODE(self._path.stat().st_mode))
                    os.fsync(stream.fileno())
                if keep:
                    part.replace(self._path)
                    _sync_folder(self._path.parent)
            finally:
                part.unlink(missing_ok=True)

    def _check_kind(self) -> None:
        """Raise `DeliveryError` where something lies there that is no file, to which a file is not to be renamed."""
        with contextlib.suppress(FileNotFoundError):
            mode = self._path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise DeliveryError("the path of the file is a folder")
            if not stat.S_ISREG(mode):
                raise DeliveryError("what is at the path of the file is no file")


class Remote(Place):
    """A file that fsspec can put where the URL says."""

    def __init__(self, url: str) -> None:
        self._url = url

    def put(self, write: Write) -> None:
        """Write to a file without a name, then upload it under its name."""
        with told("the file cannot be written here"), tempfile.TemporaryFile() as local:
            write(local)
            local.flush()
            with _told_of_storage(self._url):
                storage, path = self._storage()
                storage.put_file(_name_of(local), path)

    def rewrite(self, rewrite: Rewrite) -> None:
        """Fetch the file, and put a new one under its name."""
        with told("the file cannot be read here"), tempfile.TemporaryFile() as local:
            with _told_of_storage(self._url):
                storage, path = self._storage()
                if not storage.exists(path):
                    return
                storage.get_file(path, _name_of(local))
            local.seek(0)
            self.put(lambda stream: rewrite(local, stream))

    def check(self) -> str:
        """Upload an empty object beside the file and remove it."""
        with _told_of_storage(self._url):
            storage, path = self._storage()
            probe = f"{path}.cohort-test"
            storage.pipe_file(probe, b"")
            storage.rm_file(probe)
        host = urlsplit(self._url).netloc.rpartition("@")[2]  # a user and a password may stand before it
        return f"{scheme_of(self._url)}://{host} can be written to"

    def _storage(self) -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise DeliveryError(
                "files elsewhere need fsspec, which is not installed here: install cohort[files]"
            ) from None
        storage, path = url_to_fs(self._url)
        return storage, path


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what the system says into what a person reads."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DeliveryError(f"{what}: {reason}") from None


@contextlib.contextmanager
def _told_of_storage(url: str) -> Iterator[None]:
    scheme = scheme_of(url)
    try:
        yield
    except DeliveryError:
        raise
    except ImportError as error:
        raise DeliveryError(
            f"{scheme}:// needs {error.name or 'a library'}, which is not installed here"
        ) from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise DeliveryError(f"the file cannot be put at {scheme}://…: {reason}") from None
    except Exception as error:
        raise DeliveryError(f"the file cannot be put at {scheme}://… ({type(error).__name__})") from None


def _name_of(file: BinaryIO) -> str:
    """Return a path by which this process opens a file that has no name."""
    return f"/proc/self/fd/{file.fileno()}"


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
