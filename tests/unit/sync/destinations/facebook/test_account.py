"""Is an ad account left alone as long as it asks, and within its budget of an hour?"""

import json

import pytest

from services.sync.destinations.base import DeliveryError
from services.sync.destinations.facebook.account import Account, Accounts
from services.sync.destinations.retrying import Patience
from tests.fakes.graph import usage

START = 1_767_268_800_000


class Time:
    """A clock that a sleep steps; ms."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def account(time):
    return Account("42", time)


@pytest.fixture
def patience(time):
    return Patience(sleep=time.sleep)


async def going() -> None:
    return


@pytest.mark.parametrize(
    ("tier", "audiences", "budget"),
    [
        ("development_access", 1, 5_040),
        ("development_access", 10, 5_400),
        ("standard_access", 1, 190_040),
        ("standard_access", 20_000, 700_000),
    ],
)
def test_the_budget_depends_on_the_tier_and_the_audiences(account, tier, audiences, budget):
    account.note(usage(0, tier))
    for number in range(audiences):
        account.use(str(number))
    assert account.budget == budget


async def test_a_spent_budget_is_waited_for_until_the_hour_has_passed(account, time, patience):
    for _ in range(account.budget):
        await account.admit(patience, going)
        account.count()
    assert time.now == START
    await account.admit(patience, going)
    assert 3_600_000 <= time.now - START <= 3_661_000
    assert account.spent == 0


async def test_minutes_in_the_header_are_waited_for_and_an_hour_is_the_most(account, time, patience):
    account.note({"x-business-use-case-usage": usage(5)["X-Business-Use-Case-Usage"]})
    await account.admit(patience, going)
    assert time.now - START == pytest.approx(300_000, abs=1000)
    account.note(usage(62))
    with pytest.raises(DeliveryError, match="62 minutes"):
        await account.admit(patience, going)


async def test_calls_that_were_too_many_leave_the_account_alone_for_longer_each_time(account, time, patience):
    for most in (1, 2, 4, 8, 16, 32, 60, 60):
        before = time.now
        account.refused(patience, None)
        await account.admit(patience, going)
        assert most / 2 <= (time.now - before) / 1000 <= most
    account.answered()
    before = time.now
    account.refused(patience, None)
    await account.admit(patience, going)
    assert time.now - before <= 1000
    account.refused(patience, 90.0)
    await account.admit(patience, going)
    assert time.now - before >= 90_000


async def test_a_full_account_header_is_waited_for_in_seconds(account, time, patience):
    account.note({"X-Ad-Account-Usage": json.dumps({"acc_id_util_pct": 100, "reset_time_duration": 90})})
    await account.admit(patience, going)
    assert time.now - START == pytest.approx(90_000, abs=1000)


@pytest.mark.parametrize("header", ["", "nonsense", "[]", '{"1": 5}', '{"1": [{"call_count": "x"}]}', "null"])
async def test_headers_that_say_nothing_change_nothing(account, time, patience, header):
    account.note({"X-Business-Use-Case-Usage": header, "X-Ad-Account-Usage": header})
    await account.admit(patience, going)
    assert time.now == START
    assert account.budget == 5_040


def test_an_account_is_one_for_everybody(time):
    accounts = Accounts(time)
    assert accounts.account("", "42") is accounts.account("", "42")
    assert accounts.account("", "42") is not accounts.account("", "43")
    assert accounts.account("", "42") is not accounts.account("http://127.0.0.1", "42")
