from datetime import date

import numpy as np

from libs.cli.demo.cohorts import lapsed, questions, season
from libs.cli.demo.dataset import Events, Numbers, Texts
from libs.cli.importing.table import CHUNK_ROWS
from libs.cli.rules_words import preorder, rule_words


def test_ids_become_strings_and_zeros_can_be_absent() -> None:
    assert Texts.of([30, 5, 30]).part(0, 3) == ["30", "5", "30"]
    assert Texts(np.array(["x", None], dtype=object), np.array([0, -1, 0])).part(0, 3) == ["x", None, "x"]
    assert Numbers(np.array([0.0, 1.5]), skip_zero=True).part(0, 2) == [None, 1.5]


def test_events_are_parted_into_batches_with_ids_of_their_row() -> None:
    rows = CHUNK_ROWS + 5
    ids = np.arange(rows)
    events = Events(
        "purchase", Texts.of(ids), ids * 1000, {"price": Numbers(ids.astype(float), skip_zero=True)}
    )
    first, second = events.batches()
    assert len(first.request.customer_ids) == CHUNK_ROWS
    assert list(first.request.columns[0].present[:2]) == [False, True]
    assert second.request.event_ids[0] == f"purchase-{CHUNK_ROWS}"
    assert list(second.request.event_times_ms) == [(CHUNK_ROWS + n) * 1000 for n in range(5)]
    assert not second.request.columns[0].present


def test_the_season_ends_the_day_before_the_quiet_days() -> None:

    first, last = season(date(2026, 11, 23))
    assert (first, last) == (date(2026, 7, 27), date(2026, 10, 24))
    words = [rule_words(node) for node in preorder(lapsed(date(2026, 11, 23)).rule)]
    assert words == [
        "all of",
        "purchase at least 20 times from 2026-07-27 to 2026-10-24",
        "purchase exactly 0 times in last 30 days",
    ]
    assert len(questions(date(2026, 11, 23))) == 3
