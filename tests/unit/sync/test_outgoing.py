"""What do destinations look like to who may only read?"""

import pytest

from libs.rpc.access import Caller, enter
from libs.rpc.scopes import ALL, Scope
from services.sync import outgoing
from services.sync.model import Destination, DestinationId, WebhookSettings

URL = "https://hooks.example.com:8443/T0/canary?token=canary"


@pytest.mark.parametrize(
    ("scopes", "shown"),
    [
        (ALL, URL),
        (frozenset({Scope.MANAGE}), URL),
        (frozenset({Scope.READ, Scope.ADMIN, Scope.INGEST}), "https://hooks.example.com:8443/…"),
        (frozenset(), "https://hooks.example.com:8443/…"),
    ],
)
def test_the_url_of_a_webhook_is_whole_for_who_may_change_it(scopes: frozenset[Scope], shown: str) -> None:
    enter(Caller(scopes=scopes))
    record = Destination(DestinationId("dst"), "hook", WebhookSettings(URL, "whsec_x"), 1, 2)
    message = outgoing.destination(record)
    assert message.webhook.url == shown
    assert "whsec" not in str(message)
