"""Do events that come one by one, laid out by column, keep and lose what checks one by one would?"""

import json
from typing import Any

import pytest
from google.protobuf import struct_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.errors import Invalid
from libs.gen.cohort.v1 import event_pb2, ingest_pb2
from services.ingest import lines as ingest_lines
from services.ingest import validate
from services.ingest.lines import collect_lines
from services.ingest.rows import collect_events
from services.ingest.structs import decode_entry, raw_events, scalars
from services.ingest.validate import END_TIME_MS
from tests.unit.ingest import support

ARRIVAL = 1_700_000_000_123
NAMES = st.sampled_from(["a", "b", "é", "", "null", "x" * 64, "x" * 65, "é" * 128, "é" * 129, "k" * 200])
NUMBERS = st.floats() | st.sampled_from([0.0, -0.0, 1e300, 5e-324])
VALUES = (
    st.none() | st.booleans() | NUMBERS | st.text() | st.sampled_from(["", "v", "w" * 130, [], {}, [1.0]])
)
EVENTS = st.tuples(
    NAMES,
    NAMES,
    st.sampled_from([0, ARRIVAL, END_TIME_MS - 1, END_TIME_MS]),
    NAMES,
    st.dictionaries(NAMES, VALUES, max_size=4),
)


def message(event: support.Row) -> event_pb2.Event:
    customer, event_type, time, event_id, data = event
    written = event_pb2.Event(customer_id=customer, event_type=event_type, event_id=event_id)
    if time != ARRIVAL:
        written.event_time.FromMilliseconds(time)
    written.data.update(data)
    return written


def line(event: support.Row) -> bytes:
    customer, event_type, _, event_id, data = event
    fields = {"customerId": customer, "eventType": event_type, "eventId": event_id, "data": data}
    return json.dumps(fields).encode()


def assert_same(events: list[support.Row], collected: Any) -> None:
    """Compare with one-by-one checks; of several bad attributes of an event any may be named."""
    batch, refused = collected
    kept, expected = support.checked(events)
    assert list(map(canonical, support.rows(batch))) == list(map(canonical, kept))
    assert [each.index for each in refused] == [index for index, _, _ in expected]
    for each in refused:
        *fields, data = events[each.index]
        alone = [(*fields, {name: value}) for name, value in data.items()] or [(*fields, {})]
        assert (each.field, each.reason) in {
            found[1:] for event in alone for found in support.checked([event])[1]
        }


def canonical(row: support.Row) -> str:
    """Write a row so that 1.0 and True, 0.0 and -0.0 differ, and the order of attributes does not count."""
    return repr((*row[:4], sorted(row[4].items(), key=lambda item: item[0])))


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=12))
def test_messages_are_kept_and_refused_as_one_by_one(events: list[support.Row]) -> None:
    assert_same(events, collect_events(ingest_pb2.SendEventsRequest(events=map(message, events)), ARRIVAL))


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=12), st.sampled_from([1, 300, 1 << 18]), st.sampled_from([b"\n", b"\r\n"]))
def test_lines_are_kept_and_refused_as_one_by_one(
    events: list[support.Row], chunk_bytes: int, end: bytes
) -> None:
    events = [
        (customer, name, ARRIVAL, event_id, finite(data)) for customer, name, _, event_id, data in events
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest_lines, "CHUNK_BYTES", chunk_bytes)
        assert_same(events, collect_lines(end.join(map(line, events)), ARRIVAL))


def finite(data: dict[str, Any]) -> dict[str, Any]:
    """Leave out the numbers that JSON cannot say."""
    return {name: value for name, value in data.items() if not isinstance(value, float) or abs(value) < 1e301}


def test_lines_that_only_together_are_json_are_refused() -> None:
    one = b'{"customerId":"a","eventType":"t"}'
    lines = [
        one + one,
        b'{"customerId":"a",',
        b'"eventType":"t"}',
        one,
        one + b" " + one,
        b"{}{}",
        b'{"data":{}',
        b"}",
    ]
    batch, refused = collect_lines(b"\n".join(lines), ARRIVAL)
    assert [each.index for each in refused] == [0, 1, 2, 4, 5, 6, 7]
    assert {each.reason for each in refused} == {"INVALID_JSON"}
    assert batch.rows == 1


def test_a_bad_line_costs_its_chunk_alone_the_bulk_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    singly: list[int] = []
    decode = ingest_lines._decode_singly
    monkeypatch.setattr(ingest_lines, "CHUNK_BYTES", 200)
    monkeypatch.setattr(
        ingest_lines,
        "_decode_singly",
        lambda chunk, first, bad: singly.append(first) or decode(chunk, first, bad),
    )
    lines = [b'{"customerId":"c%d","eventType":"t"}' % number for number in range(100)]
    lines[50] = b"{"
    batch, refused = collect_lines(b"\n".join(lines) + b"\n", ARRIVAL)
    assert batch.customer_ids.tolist() == [f"c{number}" for number in range(100) if number != 50]
    assert [each.index for each in refused] == [50]
    assert len(singly) == 1


@given(st.dictionaries(st.text(max_size=140), VALUES, max_size=5))
def test_an_entry_is_read_as_the_struct_has_it(data: dict[str, Any]) -> None:
    sent = event_pb2.Event()
    sent.data.update(data)
    [event] = raw_events(ingest_pb2.SendEventsRequest(events=[sent]))
    assert repr(dict(map(decode_entry, event.data.entries))) == repr(
        {decode_entry(entry)[0]: scalars(sent.data)[decode_entry(entry)[0]] for entry in event.data.entries}
    )


@pytest.mark.parametrize(
    "entry",
    [
        b"\x0a\x01x",  # no value at all
        b"\x0a\x01x\x12\x00",  # a value of no kind
        b"\x12\x03\x1a\x01v\x0a\x01x",  # the value before the key
        b"\x0a\x01x\x12\x06\x1a\x01v\x1a\x01w",  # a value twice
        b"\x0a\x01x\x12\x05\x1a\x01v\x50\x01",  # a field that nobody knows
        b"\x0a\x01x\x12\x0c\x1a\x01v\x11" + bytes(8),  # a string and then a number: the number counts
        b"\x12\x02\x20\x01",  # no key
    ],
)
def test_unusual_entries_are_read_as_protobuf_reads_them(entry: bytes) -> None:
    data = struct_pb2.Struct.FromString(b"\x0a" + bytes([len(entry)]) + entry)
    assert dict([decode_entry(entry)]) == scalars(data)
    event = event_pb2.Event(customer_id="a", event_type="t", data=data)
    twice = ingest_pb2.SendEventsRequest.FromString(
        ingest_pb2.SendEventsRequest(events=[event]).SerializeToString()
    )
    batch, refused = collect_events(twice, ARRIVAL)
    values = {name: value for name, value in scalars(data).items() if value is not None}
    assert ("" in data.fields) == bool(refused)
    assert [row[4] for row in support.rows(batch)] == ([] if refused else [values])


def test_an_entry_with_an_unknown_field_is_none_as_to_protobuf() -> None:
    known, odd = b"\n\x01a\x12\x02 \x01", b"\n\x01b\x12\x02 \x01:\x01x"
    data = b"".join(b"\n" + bytes([len(entry)]) + entry for entry in (known, odd))
    event = b"\n\x01c\x12\x01t" + b"*" + bytes([len(data)]) + data
    request = ingest_pb2.SendEventsRequest.FromString(b"\n" + bytes([len(event)]) + event)
    assert scalars(request.events[0].data) == {"a": True}
    batch, refused = collect_events(request, ARRIVAL)
    assert (batch.rows, refused) == (1, [])
    assert [column.attribute for column in batch.columns] == ["a"]


def test_names_and_values_longer_than_one_byte_says_are_read() -> None:
    data = {"n" * 127: 1.5, "n" * 128: 2.5, "m" * 256: "s", "s": "v" * 122, "t": "v" * 124, "u": "v" * 40_000}
    events = [("a", "t", ARRIVAL, "", data)] * 3
    assert_same(events, collect_events(ingest_pb2.SendEventsRequest(events=map(message, events)), ARRIVAL))


@pytest.mark.parametrize(
    "data",
    [
        [{"a": 1.0}, {"a": 1.0, "b": "x"}, {"c": True}, {}, {"b": None}, {"a": "s", "c": [1]}],
        [{"a": 1.0, "": None}, {"a": 1.0}, {"": None}, {"x" * 257: None}],
        [{'quo"te': 1.0, "back\\slash": "s", "tab\t": True, "é": "ü"}, {'quo"te': "s"}],
        [{f"a{number}": float(number) for number in range(ingest_lines.MAX_ATTRIBUTES + 1)}, {"a1": "s"}],
        [{f"a{number}": "s"} for number in range(200)],
        [{"f0": 1.0, "f1": "s"}, {"f1": 2.0}, {"data": "d", "customerId": "c"}],
    ],
    ids=["some absent", "bad names", "odd names", "many at once", "many in turn", "names of fields"],
)
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 18])
def test_lines_may_have_any_attributes(
    monkeypatch: pytest.MonkeyPatch, data: list[dict[str, Any]], chunk_bytes: int
) -> None:
    monkeypatch.setattr(ingest_lines, "CHUNK_BYTES", chunk_bytes)
    events = [(f"c{place}", "t", ARRIVAL, "", each) for place, each in enumerate(data * 3)]
    assert_same(events, collect_lines(b"\n".join(map(line, events)), ARRIVAL))


def test_lines_of_the_same_attributes_are_decoded_without_dicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ingest_lines, "_decode")
    lines = [
        b'{"customerId":"a","eventType":"t","data":{"x":1,"y":"s"}}',
        b'{"customerId":"b","eventType":"t"}',
    ]
    batch, refused = collect_lines(b"\n".join(lines), ARRIVAL)
    assert [row[4] for row in support.rows(batch)] == [{"x": 1.0, "y": "s"}, {}]
    assert refused == []


def test_nothing_gives_an_empty_batch() -> None:
    for batch, refused in (
        collect_events(ingest_pb2.SendEventsRequest(), ARRIVAL),
        collect_lines(b"", ARRIVAL),
        collect_lines(b"\n\n", ARRIVAL),
    ):
        assert (batch.rows, batch.columns, refused) == (0, [], [])


def test_a_request_with_too_many_different_attributes_is_refused_before_they_cost_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(validate, "MAX_ATTRIBUTES", 3)
    events = [("c", "view", ARRIVAL, "", {f"a{number}": 1.0, "same": 2.0}) for number in range(3)]
    ways = (
        lambda rows: collect_events(ingest_pb2.SendEventsRequest(events=list(map(message, rows))), ARRIVAL),
        lambda rows: collect_lines(b"\n".join(map(line, rows)), ARRIVAL),
    )
    for collect in ways:
        assert collect(events[:2])[0].rows == 2
        with pytest.raises(Invalid, match="at most 3 different attributes"):
            collect(events)
