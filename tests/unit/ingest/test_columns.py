"""Are columns checked once for each different string, and refused row by row?"""

from typing import Any

import pytest

from libs.gen.cohort.v1 import ingest_pb2
from services.ingest import validate
from services.ingest.columns import collect_columns
from tests.unit.ingest import support

ARRIVAL = 1_700_000_000_123
LONG = "é" * 129


def collect(**fields: Any) -> tuple[list[support.Row], list[tuple[int, str]]]:
    batch, refused = collect_columns(ingest_pb2.SendEventColumnsRequest(**fields), ARRIVAL)
    return support.rows(batch), [(each.index, each.reason) for each in refused]


def test_every_row_of_a_bad_string_is_refused() -> None:
    kept, refused = collect(
        customer_ids=["a", "null", "b", "null", LONG, "", "a"],
        event_types=["t", "t", "", "", "t", "t", LONG],
        event_ids=["", "", "", "", "", "", "1"],
    )
    assert refused == [
        (1, "PLACEHOLDER_CUSTOMER_ID"),
        (2, "MISSING_EVENT_TYPE"),
        (3, "PLACEHOLDER_CUSTOMER_ID"),
        (4, "TOO_LONG"),
        (5, "MISSING_CUSTOMER_ID"),
        (6, "TOO_LONG"),
    ]
    assert kept == [("a", "t", ARRIVAL, "", {})]


def test_one_bad_event_type_for_all_refuses_all() -> None:
    assert collect(customer_ids=["a", "b"], event_types=[""]) == (
        [],
        [(0, "MISSING_EVENT_TYPE"), (1, "MISSING_EVENT_TYPE")],
    )


def test_a_string_is_checked_once_however_often_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    check = validate.check_customer_id
    monkeypatch.setattr(validate, "check_customer_id", lambda name: seen.append(name) or check(name))
    kept, refused = collect(customer_ids=["a", "b", "NaN"] * 50, event_types=["t"])
    assert seen == ["a", "b", "NaN"]
    assert (len(kept), len(refused)) == (100, 50)


def test_what_stands_where_a_row_has_no_value_is_ignored() -> None:
    columns = [
        ingest_pb2.Column(attribute="x", strings=["v", "é", "v"], present=[True, False, True]),
        ingest_pb2.Column(
            attribute="x", numbers=[float("nan"), 1.5, float("inf")], present=[False, True, False]
        ),
        ingest_pb2.Column(attribute="y", bools=[True, False, True], present=[False] * 3),
    ]
    kept, refused = collect(customer_ids=["a", "b", "c"], event_types=["t"], columns=columns)
    assert refused == []
    assert [row[4] for row in kept] == [{"x": "v"}, {"x": 1.5}, {"x": "v"}]


def test_strings_of_refused_rows_leave_the_other_columns_whole() -> None:
    columns = [
        ingest_pb2.Column(attribute="s", strings=["only here", "é", ""]),
        ingest_pb2.Column(attribute="n", numbers=[1, 2, float("nan")]),
    ]
    kept, refused = collect(
        customer_ids=["", "b", "c"], event_types=["t"], event_times_ms=[1, 2, 3], columns=columns
    )
    assert refused == [(0, "MISSING_CUSTOMER_ID"), (2, "NOT_FINITE")]
    assert kept == [("b", "t", 2, "", {"s": "é", "n": 2.0})]


def test_an_empty_batch_is_nothing() -> None:
    assert collect() == ([], [])
    assert collect(event_types=["t"], columns=[ingest_pb2.Column(attribute="x")]) == ([], [])
