"""An index that goes over to another's segments keeps what is behind them, and drops what they hold."""

from zoneinfo import ZoneInfo

import pytest

from tests.oracle import Event
from tests.world import Indexed

EVENTS = [Event("ann", "view", place, {}) for place in range(7)]


@pytest.mark.parametrize("sealed", range(1, 8))
def test_every_event_counts_once_wherever_the_segments_end(sealed: int) -> None:
    writer, reader = Indexed(ZoneInfo("UTC"), 1), Indexed(ZoneInfo("UTC"), 1_000)
    for event in EVENTS[:sealed]:
        writer.append([event])
    writer.index.settle()
    for event in EVENTS:
        reader.append([event])
    covered, segments = writer.index.sealed_state()
    assert covered.rows == sealed
    reader.index.install(segments, covered)
    for count, expected in ((len(EVENTS), {"ann"}), (len(EVENTS) + 1, set())):
        rule = {"did": {"eventType": "view", "count": {"op": "AT_LEAST", "value": count}}}
        assert reader.run(rule, 100) == expected
