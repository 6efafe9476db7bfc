"""A page token is good for its own request and caller, whole, and for nothing else."""

import base64

import pytest

from libs.errors import Invalid
from libs.gen.cohort.v1 import admin_pb2
from libs.rpc.access import Caller, enter
from libs.rpc.pages import LIFETIME_MS, Pages

LIST = admin_pb2.ListApiKeysRequest


class Held:
    """One result that is held, and a token of it."""

    def __init__(self) -> None:
        self.now = 0
        enter(Caller("acme"))
        self.pages: Pages[str] = Pages(lambda: self.now)
        self.token = self.pages.token(self.pages.keep(LIST(), "result"), 7)

    def reason(self, token: str, **fields: str) -> str:
        with pytest.raises(Invalid) as refused:
            self.pages.find(LIST(page_token=token, **fields))
        return refused.value.reason


@pytest.fixture
def held() -> Held:
    return Held()


def test_a_token_finds_its_place(held: Held) -> None:
    found = held.pages.find(LIST(page_token=held.token, page_size=3))
    assert found is not None
    assert (found[0], found[2]) == ("result", 7)
    assert held.pages.find(LIST()) is None


def test_a_token_that_was_changed_anywhere_is_none(held: Held) -> None:
    raw = base64.urlsafe_b64decode(held.token)
    for place in range(len(raw)):
        for bit in (1, 128):
            changed = bytearray(raw)
            changed[place] ^= bit
            assert held.reason(base64.urlsafe_b64encode(changed).decode()) == "PAGE_TOKEN_FOREIGN"
    for odd in ("", held.token[:-4], held.token + "AAAA", "x", "é"):
        if odd:
            assert held.reason(odd) == "PAGE_TOKEN_FOREIGN"


@pytest.mark.parametrize("who", [Caller("beta"), Caller("acme", operator=True)])
def test_a_token_is_of_its_callers_project_and_standing(held: Held, who: Caller) -> None:
    enter(who)
    assert held.reason(held.token) == "PAGE_TOKEN_FOREIGN"


def test_a_token_is_of_its_request_for_some_time(held: Held) -> None:
    assert held.reason(held.token, project_id="acme") == "PAGE_TOKEN_FOREIGN"
    held.now = LIFETIME_MS + 1
    assert held.reason(held.token) == "PAGE_TOKEN_EXPIRED"
