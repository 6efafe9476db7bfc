"""How long is a webhook borne with? Waits, timeouts and lost answers, without waiting in the test."""

import pytest

from libs.clock import system_clock
from services.sync.delivered import Entry, Removal
from services.sync.destinations.addresses import Hosts
from services.sync.destinations.base import Addition, Blocked, DeliveryError, Opening, Page
from services.sync.destinations.retrying import Patience
from services.sync.destinations.webhook import WebhookTarget
from services.sync.members import Member
from services.sync.model import WebhookSettings
from tests.fakes.webhook import Answer, WebhookReceiver

ANN = Addition(Member(Entry("ann", "s", 1), {"a": 1}))
PAGE = Page(Opening("syn", "run", "coh", "Cohort"), 1, 1, [ANN], [Removal("bob")])


@pytest.fixture
def receiver():
    with WebhookReceiver() as started:
        yield started


@pytest.fixture
def waits():
    return []


@pytest.fixture
async def target(receiver, waits):
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    patience = Patience(attempts=4, shortest_wait=1.0, longest_wait=3.0, timeout=5.0, sleep=sleep)
    opened = WebhookTarget(WebhookSettings(receiver.url), patience, system_clock, Hosts(allow_loopback=True))
    yield opened
    await opened.close()


async def test_waits_are_random_grow_and_are_bounded(target, receiver, waits):
    receiver.misbehave(*[Answer(500)] * 4)
    with pytest.raises(DeliveryError, match=r"4 times .* 500 Internal Server Error"):
        await target.send(PAGE)
    assert target.attempts == 4
    assert len(waits) == 3
    assert all(0 <= wait <= most for wait, most in zip(waits, (1, 2, 3), strict=True))


async def test_the_receiver_says_how_long_to_wait(target, receiver, waits):
    receiver.misbehave(Answer(429, retry_after="17"), Answer(503, retry_after="nonsense"))
    await target.send(PAGE)
    assert waits[0] == 17
    assert waits[1] <= 2


async def test_an_unsigned_page_carries_no_signature(target, receiver):
    await target.send(PAGE)
    assert not any(header.startswith("webhook-") for header in receiver.calls[0].headers)
    assert receiver.members("syn") == {"ann": {"a": 1}}


async def test_a_receiver_that_does_not_answer_is_called_again(receiver):
    receiver.misbehave(Answer(hang=True, apply=True))
    patience = Patience(attempts=2, shortest_wait=0, longest_wait=0, timeout=0.2)
    target = WebhookTarget(WebhookSettings(receiver.url), patience, system_clock, Hosts(allow_loopback=True))
    await target.send(PAGE)
    assert target.attempts == 2
    assert receiver.calls[0].body == receiver.calls[1].body
    await target.close()


async def test_a_connection_that_fails_is_tried_again_and_named(waits):
    with WebhookReceiver() as gone:
        url = gone.url
    patience = Patience(attempts=2, shortest_wait=0, longest_wait=0)
    target = WebhookTarget(WebhookSettings(url), patience, system_clock, Hosts(allow_loopback=True))
    with pytest.raises(DeliveryError, match=r"2 times .* the connection to 127.0.0.1 failed"):
        await target.send(PAGE)
    await target.close()


async def test_every_address_of_a_name_is_tried(receiver):
    # Where localhost is ::1 as well, that comes first, and nobody listens there.
    settings = WebhookSettings(receiver.url.replace("127.0.0.1", "localhost"))
    target = WebhookTarget(settings, Patience(attempts=1), system_clock, Hosts(allow_loopback=True))
    assert await target.check() == "localhost took an unsigned test page without customers"
    assert receiver.calls[0].headers["host"] == f"localhost:{receiver.port}"
    await target.close()


async def test_the_address_is_checked_at_every_call(receiver):
    target = WebhookTarget(WebhookSettings(receiver.url), Patience(), system_clock, Hosts())
    with pytest.raises(DeliveryError, match="must not be called"):
        await target.send(PAGE)
    assert receiver.calls == []
    await target.close()


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "CREDENTIALS_REFUSED"), (403, "CREDENTIALS_REFUSED"), (410, "RECEIVER_GONE")],
)
async def test_what_only_a_person_can_put_right_is_told_as_such(target, receiver, status, reason):
    receiver.misbehave(Answer(status))
    with pytest.raises(Blocked, match="resume the sync") as blocked:
        await target.send(PAGE)
    assert blocked.value.reason == reason
    assert target.attempts == 1
