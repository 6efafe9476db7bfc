"""Which projects and API keys are there? One small environment: ingest writes it, all three services read it.

A secret is 256 bits from the system's source of chance, so its SHA-256 cannot be searched for and a slow hash
would add nothing but time to every call; a person's password would need one. The secret itself is kept nowhere.
An exception is the credential of the sync service, which that reads here: whoever can read the data directory
has the data anyway, and each start of ingest makes it anew (on a full disk, the one of before stays).
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from libs.errors import Overloaded
from libs.storage import requests
from libs.storage.environment import SMALL_MAP_BYTES, Environment, scan
from libs.storage.failures import Absent
from libs.storage.projects import DEFAULT, VERSION, Project, check_zone, same_zone
from libs.storage.room import PROJECT_BYTES, check_room

TABLES = ("projects", "keys", *requests.TABLES)
SECRET_PREFIX = "cohort_"  # nosec B105 # what a secret begins with
"""What every secret begins with, so that scanners for leaked secrets and people know it."""
SECRET_BYTES = 32
SECRET_LENGTH = len(SECRET_PREFIX) + 43
"""Characters: 32 bytes as base64 without padding are 43."""
COUNTER = b"ids"
INTERNAL = b"sync credential"


class ApiKey(msgspec.Struct, frozen=True):
    """A key: whom it opens what for, instants in ms, and the SHA-256 of its secret."""

    key_id: str
    project_id: str
    name: str
    scopes: tuple[str, ...]
    digest: bytes
    create_time: int
    revoke_time: int | None = None
    operator: bool = False
    """Whether it may make projects, and keys of every project."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything there is, at one version."""

    version: int
    projects: dict[str, Project]
    keys: tuple[ApiKey, ...]
    internal: bytes
    """The credential of the sync service; empty where there is none yet."""


NOTHING = Contents(0, {}, (), b"")


def new_secret() -> str:
    """Make the secret of a key."""
    return SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str | bytes) -> bytes:
    """Return what is kept of a secret, (32,) bytes."""
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).digest()


def count_keys(keys: Iterable[ApiKey], project_id: str) -> int:
    """Return how many of some keys count as a project's: not revoked, and no operator's."""
    return sum(k.project_id == project_id and k.revoke_time is None and not k.operator for k in keys)


def open_environment(data_dir: Path, *, readonly: bool = False) -> Environment:
    """Open the environment of a data directory's projects. Raises `StorageError`, `Overloaded`."""
    return Environment(
        data_dir / "projects",
        "project settings",
        VERSION,
        TABLES,
        readonly=readonly,
        map_bytes=SMALL_MAP_BYTES,
        home=data_dir,
    )


class Directory:
    """The projects and keys of a data directory. One a process: LMDB allows no second.

    With `writable` it is held for this process (`Locked` where another has it). Without, there may be nothing
    yet: then it is empty, and looks again at each question.
    """

    def __init__(self, data_dir: Path, *, writable: bool) -> None:
        self.data_dir = data_dir
        self._folder = data_dir / "projects"
        self._environment: Environment | None = None
        self._contents = NOTHING
        if writable:
            self._environment = open_environment(data_dir)
            self._renew_internal(self._environment)

    def _renew_internal(self, environment: Environment) -> None:
        """Make the services' own secret anew; on a full disk, where there is one, that one stays."""
        try:
            with environment.write() as txn:
                txn.put(INTERNAL, new_secret().encode(), db=environment.meta)
        except Overloaded:
            with environment.read() as txn:
                known = txn.get(INTERNAL, db=environment.meta)
            if known is None:
                self.close()
                raise

    def contents(self) -> Contents:
        """Return everything as it is now; microseconds where nothing has changed."""
        environment = self._environment or self._appeared()
        if environment is None:
            return NOTHING
        with environment.read() as txn:
            if txn.id() != self._contents.version:
                self._contents = _read(environment, txn)
        return self._contents

    def mutate(
        self,
        key: tuple[str, bytes] | None,
        now: int,
        change: "Mutation",
    ) -> bytes:
        """Change something in one transaction; return the response, or the first one of a repeated request.

        `key` is a request id, with whose it is in front, and the fingerprint of its request.
        """
        environment = self._environment
        if environment is None:
            raise Absent(f"{self._folder} is not open to write")
        ids = requests.RequestIds(environment)
        with environment.write() as txn:
            first = ids.find(txn, *key, now) if key else None
            if first is not None:
                return first
            response, repeated = change(Change(environment, txn))
            if key:
                ids.record(txn, *key, now, repeated)
        return response

    def close(self) -> None:
        """Close the environment."""
        if self._environment:
            self._environment.close()
            self._environment = None

    def _appeared(self) -> Environment | None:
        if not (self._folder / "data.mdb").exists():
            return None
        try:
            self._environment = open_environment(self.data_dir, readonly=True)
        except Absent:  # being made, or of a version without keys that ingest has not opened since
            return None
        return self._environment


class Change:
    """What a transaction may change."""

    def __init__(self, environment: Environment, txn: Any) -> None:
        self._environment = environment
        self._txn = txn

    def project(self, project_id: str) -> Project | None:
        """Return a project, or None."""
        found = self._txn.get(project_id.encode(), db=self._environment["projects"])
        return msgspec.json.decode(found, type=Project) if found else None

    def count_projects(self) -> int:
        """Return how many projects there are."""
        count: int = self._txn.stat(self._environment["projects"])["entries"]
        return count

    def check_room(self) -> None:
        """Raise `Overloaded` where the disk has no room for what a new project makes: three small environments."""
        check_room(self._environment.folder, PROJECT_BYTES, "a project")

    def put_project(self, project: Project) -> None:
        """Keep a project."""
        self._txn.put(
            project.project_id.encode(), msgspec.json.encode(project), db=self._environment["projects"]
        )

    def add_key(self, key: ApiKey) -> ApiKey:
        """Keep a new key under an id greater than those of its project before it; return it so.

        Each project has a count of its own, which tells nothing of others, and so have the operator's keys; a project
        of before goes on from where all were counted together.
        """
        own = COUNTER + b" " + (b"*" if key.operator else key.project_id.encode())
        before = self._txn.get(own, db=self._environment.meta)
        count = int(before or self._txn.get(COUNTER, b"0", db=self._environment.meta)) + 1
        self._txn.put(own, b"%d" % count, db=self._environment.meta)
        kept = msgspec.structs.replace(key, key_id=f"key_{count:010x}{secrets.token_hex(8)}")
        self.put_key(kept)
        return kept

    def key(self, key_id: str) -> ApiKey | None:
        """Return a key, or None. Whatever a caller sends may be asked for."""
        wanted = key_id.encode()
        found = self._txn.get(wanted, db=self._environment["keys"]) if 0 < len(wanted) < 64 else None
        return msgspec.json.decode(found, type=ApiKey) if found else None

    def count_keys(self, project_id: str) -> int:
        """Return how many keys of a project are not revoked; an operator's do not count."""
        found = scan(self._txn, self._environment["keys"])
        return count_keys((msgspec.json.decode(value, type=ApiKey) for _, value in found), project_id)

    def put_key(self, key: ApiKey) -> None:
        """Keep a key as it is now."""
        self._txn.put(key.key_id.encode(), msgspec.json.encode(key), db=self._environment["keys"])


Mutation = Callable[[Change], tuple[bytes, bytes]]
"""Changes something; returns the response, and what a repeat of the request gets."""


def _read(environment: Environment, txn: Any) -> Contents:
    def records(table: str) -> Iterator[bytes]:
        return (value for _, value in scan(txn, environment[table]))

    projects = [msgspec.json.decode(each, type=Project) for each in records("projects")]
    return Contents(
        txn.id(),
        {project.project_id: project for project in projects},
        tuple(msgspec.json.decode(each, type=ApiKey) for each in records("keys")),
        bytes(txn.get(INTERNAL, b"", db=environment.meta)),
    )


def ensure_default(
    directory: Directory, time_zone: str | None, now: int, dedupe_window: int | None = None
) -> Project:
    """Return the default project, made in `time_zone` (None: UTC) where there is none.

    `dedupe_window`, ms, holds from now on; None: what held before. Raises `libs.errors.Invalid` for an unknown zone,
    or one that differs from that it was made with.
    """
    zone = check_zone(time_zone or "UTC")

    def change(changes: Change) -> tuple[bytes, bytes]:
        project = changes.project(DEFAULT) or Project(DEFAULT, zone, now)
        if dedupe_window is not None:
            project = msgspec.structs.replace(project, dedupe_window=dedupe_window)
        changes.put_project(project)
        return b"", b""

    found = directory.contents().projects.get(DEFAULT)
    if found is not None:
        same_zone(found, time_zone)
    if found is None or dedupe_window not in (None, found.dedupe_window):
        directory.mutate(None, now, change)
    return directory.contents().projects[DEFAULT]
