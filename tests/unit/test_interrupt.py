"""Work that nobody waits for stops, and no other."""

import contextvars
from zoneinfo import ZoneInfo

import pytest

from libs import interrupt
from libs.index.evaluate import evaluate
from libs.index.plan import All
from libs.interrupt import Interrupted
from tests.world import Indexed


def test_an_evaluation_stops_at_its_next_node_once_its_call_is_over() -> None:
    snapshot = Indexed(ZoneInfo("UTC"), 8).snapshot()

    def ask() -> None:
        stop = interrupt.begin()
        evaluate(All((All(()),)), snapshot, 0)
        stop.asked = True
        with pytest.raises(Interrupted):
            evaluate(All((All(()),)), snapshot, 0)

    contextvars.copy_context().run(ask)
    evaluate(All((All(()),)), snapshot, 0)
