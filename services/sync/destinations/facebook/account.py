"""How much may an ad account still be asked? Its limits, shared by all syncs that go to it.

Meta counts calls by ad account and hour, and says in headers how long an account is to be left alone. Whoever
calls asks for admission first, and reports the headers of every answer. Kept in memory: after a restart the
next answer tells again.

The budget of an hour is 5,000 calls (development access) or 190,000 (standard access), 40 more for each active
audience, and 700,000 at most, as Meta's page on rate limiting of the Custom Audience API has it.
"""

import contextlib
import json
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from libs.clock import Clock
from services.sync.destinations.base import DeliveryError
from services.sync.destinations.retrying import Patience

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
CALLS_AN_HOUR = {"development_access": 5_000, "standard_access": 190_000}
CALLS_AN_AUDIENCE = 40
MOST_CALLS = 700_000
USAGE_HEADER = "x-business-use-case-usage"
ACCOUNT_HEADER = "x-ad-account-usage"
FULL_PERCENT = 100


class Account:
    """The limits of one ad account. `clock` is ms."""

    def __init__(self, account_id: str, clock: Clock) -> None:
        self._account_id = account_id
        self._clock = clock
        self._tier = "development_access"
        self._audiences: set[str] = set()
        self._calls: deque[tuple[int, int]] = deque()  # (minute, how many), an hour's worth
        self._blocked_until = 0
        self._refusals = 0  # calls in a row that were too many

    @property
    def budget(self) -> int:
        """How many calls an hour may have."""
        calls = CALLS_AN_HOUR[self._tier] + CALLS_AN_AUDIENCE * max(1, len(self._audiences))
        return min(calls, MOST_CALLS)

    @property
    def spent(self) -> int:
        """How many calls there were in the last hour."""
        while self._calls and _expiry(self._calls[0][0]) <= self._clock():
            self._calls.popleft()
        return sum(count for _, count in self._calls)

    async def admit(self, patience: Patience, check_going: Callable[[], Awaitable[None]]) -> None:
        """Return when the account may be called. Raises `DeliveryError` where that is too long to wait."""
        while (seconds := self._pause()) > 0:
            if seconds > patience.longest_account_wait:
                raise DeliveryError(
                    f"ad account act_{self._account_id} is at its limit of calls for another "
                    f"{seconds / 60:.0f} minutes; the next run sends the rest"
                )
            await patience.wait(seconds, check_going)

    def _pause(self) -> float:
        """Return how many seconds the account is to be left alone."""
        now, until = self._clock(), self._blocked_until
        if self.spent >= self.budget:
            until = max(until, _expiry(self._calls[0][0]))
        return max(0, until - now) / 1000

    def count(self) -> None:
        """Count a call."""
        minute = self._clock() // MINUTE_MS
        if self._calls and self._calls[-1][0] == minute:
            self._calls[-1] = minute, self._calls[-1][1] + 1
        else:
            self._calls.append((minute, 1))

    def use(self, audience: str) -> None:
        """Count an audience as active."""
        self._audiences.add(audience)

    def leave_alone(self, seconds: float) -> None:
        """Call no more for so long."""
        self._blocked_until = max(self._blocked_until, self._clock() + round(seconds * 1000))

    def refused(self, patience: Patience, asked: float | None) -> None:
        """Take note of a call that was too many: leave the account alone for what was asked, in seconds.

        Where nothing was asked, the pause doubles with each such call in a row, at random by up to a half.
        """
        growing = patience.shortest_wait * 2 ** min(self._refusals, 20)
        self._refusals += 1
        drawn = random.uniform(0.5, 1) * min(growing, patience.longest_wait)  # nosec B311 # no secret
        self.leave_alone(drawn if asked is None else asked)

    def answered(self) -> None:
        """Take note of a call that was not too many."""
        self._refusals = 0

    def note(self, headers: Mapping[str, str]) -> None:
        """Read what an answer says about limits: minutes to wait, and the tier of access."""
        usage = {name.lower(): value for name, value in headers.items()}
        for entry in _entries(usage.get(USAGE_HEADER, "")):
            self._note_tier(entry)
            self.leave_alone(60 * _number(entry.get("estimated_time_to_regain_access")))
        with contextlib.suppress(ValueError):
            entry = json.loads(usage.get(ACCOUNT_HEADER, ""))
            if isinstance(entry, dict):
                self._note_tier(entry)
                if _number(entry.get("acc_id_util_pct")) >= FULL_PERCENT:
                    self.leave_alone(_number(entry.get("reset_time_duration")))

    def _note_tier(self, entry: Mapping[str, Any]) -> None:
        tier = entry.get("ads_api_access_tier")
        if tier in CALLS_AN_HOUR:
            self._tier = str(tier)


class Accounts:
    """The ad accounts that this service calls."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[tuple[str, str], Account] = {}

    def account(self, graph_url: str, account_id: str) -> Account:
        """Return the one account of this id at a Graph API."""
        place = graph_url, account_id
        if place not in self._accounts:
            self._accounts[place] = Account(account_id, self._clock)
        return self._accounts[place]


def _expiry(minute: int) -> int:
    """Return when the last call of a minute is an hour old, in ms."""
    return (minute + 1) * MINUTE_MS + HOUR_MS


def _entries(header: str) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of X-Business-Use-Case-Usage: {id: [entry, …]}."""
    try:
        usage = json.loads(header)
    except ValueError:
        return
    for entries in usage.values() if isinstance(usage, dict) else ():
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                yield entry


def _number(value: object) -> float:
    return max(0.0, float(value)) if isinstance(value, int | float) else 0.0
