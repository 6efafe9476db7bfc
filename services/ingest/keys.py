"""What makes a key, and who may end one? The rules of API keys, without wire or storage."""

from collections.abc import Sequence

import msgspec

from libs.errors import Invalid, Missing
from libs.rpc.access import Caller
from libs.rpc.scopes import Scope
from libs.storage.directory import ApiKey, digest_of, new_secret

MAX_NAME = 200


def made(
    name: str, scopes: Sequence[str], *, project_id: str, now: int, operator: bool = False
) -> tuple[ApiKey, str]:
    """Return a new key, without its id yet, and its secret, which is nowhere else. Raises `Invalid`."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise Invalid(
            "INVALID_NAME", f"a key has a name of 1 to {MAX_NAME} printable characters", "api_key.name"
        )
    known = [each.value for each in Scope]
    for place, scope in enumerate(scopes):
        if scope not in known:
            message = f"{scope[:MAX_NAME]!r} is no scope; there are {', '.join(known)}"
            raise Invalid("UNKNOWN_SCOPE", message, f"api_key.scopes[{place}]")
    if not scopes:
        raise Invalid(
            "MISSING_SCOPES", f"a key needs one or more of the scopes {', '.join(known)}", "api_key.scopes"
        )
    secret = new_secret()
    given = tuple(scope for scope in known if scope in scopes)
    key = ApiKey("", project_id, name, given, digest_of(secret), now, operator=operator)
    return key, secret


def shows(key: ApiKey, who: Caller) -> bool:
    """Say whether a caller may know of a key: those of its project; an operator's only as an operator."""
    return who.operator or (key.project_id == who.project_id and not key.operator)


def revoked(key: ApiKey | None, who: Caller, now: int) -> ApiKey:
    """Return a key as it is once `who` has revoked it; one revoked before stays so.

    Raises `Missing` for a key that is not there, or that `who` may not know of.
    """
    if key is None or not shows(key, who):
        raise Missing("KEY_NOT_FOUND", "there is no API key of this key_id", "key", field="key_id")
    return key if key.revoke_time is not None else msgspec.structs.replace(key, revoke_time=now)
