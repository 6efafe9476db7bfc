import json
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

from libs.cli.demo.receiver import Audience, running_receiver
from libs.cli.demo.story import SECRET

Receiver = tuple[str, Audience]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver(SECRET) as running:
        yield running


def post(url: str, page: object, secret: str = SECRET) -> int:
    body = json.dumps(page)
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "page-1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("page-1", now, body),
    }
    return httpx.post(url, content=body, headers=headers, trust_env=False).status_code


def page(run: str, adds: list[str], removes: list[str]) -> dict[str, object]:
    return {
        "runId": run,
        "adds": [{"customerId": one, "data": {}} for one in adds],
        "removes": [{"customerId": one} for one in removes],
    }


def test_it_holds_what_it_was_told_and_a_page_twice_changes_nothing(receiver: Receiver) -> None:
    url, audience = receiver
    assert post(url, page("r1", ["a", "b"], [])) == 204
    assert post(url, page("r2", ["c"], ["a"])) == 204
    assert post(url, page("r2", ["c"], ["a"])) == 204
    assert audience.members == {"b", "c"}
    assert audience.added == {"r1": {"a", "b"}, "r2": {"c"}}
    assert audience.removed == {"r1": set(), "r2": {"a"}}


def test_a_bad_signature_is_refused(receiver: Receiver) -> None:
    url, audience = receiver
    assert post(url, page("r1", ["a"], []), "whsec_" + "c2VjcmV0IG9mIHNvbWVib2R5IGVsc2U=") == 401
    assert (audience.members, audience.refused) == (set(), 1)


def test_a_trial_changes_nothing(receiver: Receiver) -> None:
    url, audience = receiver
    assert post(url, {"adds": [], "removes": []}) == 204
    assert audience.pages == 0
