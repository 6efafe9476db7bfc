"""What does an error of the Graph API mean for a run? Wait, try again, or stop until a person acts.

Codes are those of Meta's error reference and of its guide to custom audiences. What Meta says in words is never
repeated: its messages have quoted tokens and rows.
"""

from dataclasses import dataclass

from services.sync.destinations.base import Blocked, DeliveryError, Passing, Throttled

THROTTLED = frozenset({4, 17, 32, 613, 80000, 80003, 80004})
"""Too many calls: of the app, the user, the ad account."""
TRANSIENT = frozenset({1, 2})
"""Unknown and temporarily unavailable."""
AUDIENCE_BLOCKED = 1713228, 1713230, 1713231
"""Subcodes of 100: the audience has integrity restrictions."""
TERMS = 1870034
TOO_SMALL = 1870047
"""Subcodes of 200."""
TOO_MANY_REQUESTS = 429
SERVER_ERRORS = 500
RESUME = "then resume the sync"


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error as the Graph API says it; 0 where it says nothing."""

    status: int
    code: int
    subcode: int = 0
    is_transient: bool = False

    def __str__(self) -> str:
        subcode = f", subcode {self.subcode}" if self.subcode else ""
        return f"Meta answered {self.status} with error {self.code}{subcode}"


STOPS: dict[int, tuple[str, str]] = {
    10: ("PERMISSION_MISSING", "give the token's app the permission ads_management"),
    102: ("TOKEN_INVALID", "get a new access token and save it with the destination"),
    104: ("TOKEN_INVALID", "the app wants signed calls: switch off its setting Require App Secret"),
    105: ("REQUEST_REFUSED", "the request has more than Meta allows: report this to whoever runs Cohort"),
    190: (
        "TOKEN_INVALID",
        "the access token is expired or revoked: get a new one, save it with the destination",
    ),
    200: ("PERMISSION_MISSING", "give the token's user the right to manage audiences of the ad account"),
    294: ("PERMISSION_MISSING", "get an access token with the permission ads_management"),
    368: ("ACCOUNT_RESTRICTED", "Meta has restricted the account: see its Account Quality page"),
    2650: ("AUDIENCE_REFUSED", "the audience cannot be updated: look at it in Ads Manager"),
    2655: ("TERMS_NOT_ACCEPTED", "accept the Custom Audience terms of the ad account in Ads Manager"),
}
PERMISSIONS = range(200, 300)
"""Meta keeps these for permissions."""


def judge(error: ApiError, retry_after: float | None = None) -> DeliveryError:
    """Return the failure that an error amounts to."""
    if error.code in THROTTLED or error.status == TOO_MANY_REQUESTS:
        return Throttled(f"{error}: too many calls", retry_after)
    if error.code == 100 and error.subcode in AUDIENCE_BLOCKED:
        return _stop(error, "AUDIENCE_BLOCKED", "Meta has blocked the audience: look at it in Ads Manager")
    if error.code == 100 and error.subcode == 33:
        return _stop(
            error,
            "AUDIENCE_GONE",
            "the ad account or audience does not exist, or the token may not see it: "
            "set it right, or delete the sync and make it anew",
        )
    if error.subcode == TERMS:
        return _stop(error, *STOPS[2655])
    if error.code == 200 and error.subcode == TOO_SMALL:
        return _stop(
            error,
            "AUDIENCE_TOO_SMALL",
            "Meta takes nobody off an audience in use that would become so small: stop its ads, or add people",
        )
    if error.code in STOPS:
        return _stop(error, *STOPS[error.code])
    if error.code in TRANSIENT or error.is_transient or error.status >= SERVER_ERRORS:
        return Passing(str(error), retry_after)
    if error.code in PERMISSIONS:
        return _stop(error, "PERMISSION_MISSING", STOPS[200][1])
    if error.code == 100:
        return _stop(error, "REQUEST_REFUSED", "check the ad account and the audience of the destination")
    return DeliveryError(str(error))


def _stop(error: ApiError, reason: str, action: str) -> Blocked:
    return Blocked(reason, f"{error}: {action}, {RESUME}")
