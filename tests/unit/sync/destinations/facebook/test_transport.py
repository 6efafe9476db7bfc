"""How long does an answer ask to be left alone?"""

import pytest

from services.sync.destinations.facebook.transport import retry_after

NOON = "Thu, 01 Jan 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120.0),
        ({"retry-after": "0"}, 0.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Thu, 01 Jan 2026 12:02:00 GMT", "Date": NOON}, 120.0),
        ({"Retry-After": "Thu, 01 Jan 2026 11:00:00 GMT", "Date": NOON}, 0.0),
        ({"Retry-After": "Thu, 01 Jan 2026 12:02:00 GMT"}, None),
        ({"Retry-After": "Thu, 01 Jan 2026 12:02:00", "Date": NOON}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers, seconds):
    assert retry_after(headers) == seconds
