"""Who calls, and may they? API keys become callers: a project and scopes, checked on every call.

A call costs one SHA-256, a look-up and a read transaction that tells whether keys have changed since: some
microseconds, so that a revoked key is refused by the next call in every process. The look-up is by digest, and
the digest found is compared in constant time: what its timing could tell is about a hash, not the secret.
"""

import hmac
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace

from libs.clock import Clock, system_clock
from libs.errors import Denied, Invalid, Missing, Unauthenticated
from libs.rpc.scopes import ALL, SYNC_CALLS, Scope, scope_of
from libs.storage.directory import NOTHING, SECRET_LENGTH, SECRET_PREFIX, ApiKey, Directory, digest_of
from libs.storage.key_use import KeyUse
from libs.storage.projects import DEFAULT

PROJECT_METADATA = "cohort-project"
"""Names the project of a call that no key names: by the sync service, and to a server with --insecure."""
BEARER = b"Bearer "

MOST_METADATA = 16 * 1024
"""Bytes. gRPC refuses more too, but not from a client that leaves the server's settings unacknowledged."""

Metadata = Iterable[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose call it is. `secret_digest` tells later whether the key still opens anything."""

    project_id: str = DEFAULT
    scopes: frozenset[Scope] = ALL
    key_id: str = ""
    operator: bool = False
    internal: bool = False
    secret_digest: bytes = b""

    def check(self, rpc: str) -> None:
        """Raise `Denied` for an RPC, by its full name, that the caller's scopes do not open."""
        scope = scope_of(rpc)
        if scope not in self.scopes and not (self.internal and rpc in SYNC_CALLS):
            raise Denied("SCOPE_MISSING", f"this API key has not the scope `{scope}`, which the call needs")


NOBODY = Caller(scopes=frozenset())
_caller: ContextVar[Caller] = ContextVar("caller", default=NOBODY)


def caller() -> Caller:
    """Return whose call is being served, in its task and the threads it works in."""
    return _caller.get()


def enter(who: Caller) -> None:
    """Say whose call the running task serves."""
    _caller.set(who)


class Keys:
    """The keys that open a server.

    `operator_secret` is a key of the default project with every scope, from outside the directory. With
    `insecure`, whoever sends no key that Cohort made is the operator, in the project that their metadata names.
    """

    def __init__(
        self,
        directory: Directory | None = None,
        operator_secret: str | None = None,
        *,
        insecure: bool = False,
        use: KeyUse | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._directory = directory
        self._operator = digest_of(operator_secret) if operator_secret else None
        self._insecure = insecure
        self._use = use
        self._clock = clock
        self._contents = NOTHING
        self._callers: dict[bytes, Caller] = {}
        self._refresh(force=True)

    def version(self) -> int:
        """Return a number that changes with the keys."""
        self._refresh()
        return self._contents.version

    def identify(self, metadata: Metadata) -> Caller:
        """Return who sent this metadata. Raises `Unauthenticated`, the same whatever was wrong with the key.

        Raises `Missing` where it names a project that is not there, `Invalid` where it is too large.
        """
        given, project = _read(metadata)
        if self._insecure and not is_made_here(given[len(BEARER) :]):
            return self._in(Caller(operator=True), project)
        self._refresh()
        digest = digest_of(given[len(BEARER) :]) if given.startswith(BEARER) else b""
        found = self._callers.get(digest)
        if found is None or not hmac.compare_digest(found.secret_digest, digest):
            raise unauthenticated()
        if found.internal:
            return self._in(found, project)
        if self._use and found.key_id:
            self._use.note(found.key_id, self._clock())
        return found

    def still_opens(self, who: Caller) -> bool:
        """Say whether the key of a call that goes on is still valid."""
        self._refresh()
        return not who.secret_digest or who.secret_digest in self._callers

    def _in(self, who: Caller, project_id: str) -> Caller:
        """Return the caller in the project it names. Raises `Missing`."""
        if not project_id or project_id == who.project_id:
            return who
        self._refresh()
        if project_id not in self._contents.projects:
            raise no_such_project()
        return replace(who, project_id=project_id)

    def _refresh(self, *, force: bool = False) -> None:
        contents = self._directory.contents() if self._directory else NOTHING
        if contents is self._contents and not force:
            return
        self._contents = contents
        self._callers = {key.digest: _caller_of(key) for key in contents.keys if key.revoke_time is None}
        if contents.internal:
            digest = digest_of(contents.internal)
            self._callers[digest] = Caller(
                scopes=frozenset({Scope.READ}), internal=True, secret_digest=digest
            )
        if self._operator:
            self._callers[self._operator] = Caller(operator=True, secret_digest=self._operator)


def is_made_here(secret: bytes) -> bool:
    """Say whether something looks like the secret of a key that Cohort made."""
    return len(secret) == SECRET_LENGTH and secret.startswith(SECRET_PREFIX.encode())


def unauthenticated() -> Unauthenticated:
    """Say that a call came without a valid key."""
    return Unauthenticated("UNAUTHENTICATED", "send a valid API key as metadata `authorization: Bearer KEY`")


def no_such_project() -> Missing:
    """Say that there is no project of a name, or none that the caller may know of."""
    return Missing("PROJECT_NOT_FOUND", "there is no project of this project_id", "project")


def _caller_of(key: ApiKey) -> Caller:
    scopes = frozenset(Scope(each) for each in key.scopes)
    return Caller(key.project_id, scopes, key.key_id, key.operator, secret_digest=key.digest)


def _read(metadata: Metadata) -> tuple[bytes, str]:
    """Return the one authorization header, empty where there is none or several, and the project named.

    Raises `Invalid` for metadata that is too large to keep while the call waits.
    """
    check_size(metadata)
    given: list[bytes] = []
    project = ""
    for name, value in metadata:
        if name == "authorization":
            given.append(value.encode(errors="replace") if isinstance(value, str) else value)
        elif name == PROJECT_METADATA:
            project = value if isinstance(value, str) else value.decode(errors="replace")
    return (given[0] if len(given) == 1 else b""), project


def check_size(metadata: Metadata) -> None:
    """Raise `Invalid` for metadata that is too large to keep while the call waits."""
    if sum(len(value) for _, value in metadata) > MOST_METADATA:
        raise Invalid("METADATA_TOO_LARGE", "the call's metadata is larger than 16 KiB")
