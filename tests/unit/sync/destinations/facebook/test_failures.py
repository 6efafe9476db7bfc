"""What does a run do at each error of the Graph API? The table."""

import pytest

from services.sync.destinations.base import Blocked, DeliveryError, Passing, Throttled
from services.sync.destinations.facebook.failures import ApiError, judge


@pytest.mark.parametrize("code", [4, 17, 613, 80003])
def test_too_many_calls_pass(code):
    failure = judge(ApiError(400, code), 30.0)
    assert isinstance(failure, Throttled)
    assert failure.retry_after == 30.0


@pytest.mark.parametrize(
    "error",
    [
        ApiError(500, 1),
        ApiError(400, 2),
        ApiError(400, 9999, is_transient=True),
        ApiError(503, 0),
        ApiError(429, 0),
    ],
)
def test_what_may_pass_does(error):
    failure = judge(error, 7.0)
    assert isinstance(failure, Passing)
    assert failure.retry_after == 7.0
    assert isinstance(failure, Throttled) == (error.status == 429)


@pytest.mark.parametrize(
    ("code", "subcode", "reason"),
    [
        (100, 1713230, "AUDIENCE_BLOCKED"),
        (100, 1713228, "AUDIENCE_BLOCKED"),
        (200, 1870034, "TERMS_NOT_ACCEPTED"),
        (200, 1870047, "AUDIENCE_TOO_SMALL"),
        (104, 0, "TOKEN_INVALID"),
        (100, 33, "AUDIENCE_GONE"),
        (100, 0, "REQUEST_REFUSED"),
        (102, 0, "TOKEN_INVALID"),
        (105, 0, "REQUEST_REFUSED"),
        (190, 463, "TOKEN_INVALID"),
        (10, 0, "PERMISSION_MISSING"),
        (200, 0, "PERMISSION_MISSING"),
        (278, 0, "PERMISSION_MISSING"),
        (294, 0, "PERMISSION_MISSING"),
        (368, 0, "ACCOUNT_RESTRICTED"),
        (2650, 0, "AUDIENCE_REFUSED"),
        (2655, 0, "TERMS_NOT_ACCEPTED"),
    ],
)
def test_what_a_person_must_put_right_blocks_and_says_what_to_do(code, subcode, reason):
    failure = judge(ApiError(400, code, subcode))
    assert isinstance(failure, Blocked)
    assert failure.reason == reason
    assert str(failure).endswith("then resume the sync")


def test_what_nobody_knows_fails_the_run_with_its_code():
    failure = judge(ApiError(400, 4711, 12))
    assert type(failure) is DeliveryError
    assert "error 4711, subcode 12" in str(failure)
