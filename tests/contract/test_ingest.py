"""What does IngestService keep, refuse and answer? Over real gRPC, in JSON form."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2, timestamp_pb2

from libs.gen.cohort.v1 import event_pb2, ingest_pb2
from libs.storage import requests
from services.ingest import servicer
from tests.contract.harness import NOW, Client, Json, StepClock, client, did, event

START, END = "1970-01-01T00:00:00Z", "2100-12-31T23:59:59.999999999Z"
LONG = "x" * 257


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[Client, StepClock]]:
    with client(tmp_path) as connected:
        yield connected


@pytest.fixture
def api(serving: tuple[Client, StepClock]) -> Client:
    return serving[0]


def lines(*events: Any) -> Json:
    """Make a SendEventsJson request of objects and raw lines."""
    joined = b"\n".join(each if isinstance(each, bytes) else json.dumps(each).encode() for each in events)
    return {"jsonLines": base64.b64encode(joined).decode()}


def refusals(answer: Json) -> list[tuple[int, str, str]]:
    return [(each.get("index", 0), each.get("field", ""), each["reason"]) for each in answer["rejected"]]


def wire(**fields: Any) -> event_pb2.Event:
    return event_pb2.Event(customer_id="a", event_type="view", **fields)


BAD: list[tuple[Json, str, str]] = [
    ({"customerId": ""}, "customer_id", "MISSING_CUSTOMER_ID"),
    *(
        ({"customerId": name}, "customer_id", "PLACEHOLDER_CUSTOMER_ID")
        for name in ("None", "null", "undefined", "NaN")
    ),
    ({"customerId": LONG}, "customer_id", "TOO_LONG"),
    ({"customerId": "é" * 129}, "customer_id", "TOO_LONG"),
    ({"eventType": ""}, "event_type", "MISSING_EVENT_TYPE"),
    ({"eventType": LONG}, "event_type", "TOO_LONG"),
    ({"eventId": LONG}, "event_id", "TOO_LONG"),
    ({"eventTime": "1969-12-31T23:59:59.999Z"}, "event_time", "TIME_OUT_OF_RANGE"),
    ({"eventTime": "2101-01-01T00:00:00Z"}, "event_time", "TIME_OUT_OF_RANGE"),
    ({"data": {"ok": 1, "tags": ["a"]}}, "data.tags", "NESTED_VALUE"),
    ({"data": {"o": {}}}, "data.o", "NESTED_VALUE"),
    ({"data": {"": 1}}, "data", "MISSING_ATTRIBUTE_NAME"),
    ({"data": {LONG: 1}}, "data", "TOO_LONG"),
]
GOOD: list[Json] = [
    {},
    {"customerId": "x" * 256, "eventType": "y" * 256, "eventId": "z" * 256},
    {"customerId": "é" * 128},
    {"customerId": "none", "eventTime": START},
    {"customerId": "nan", "eventTime": END},
    {"data": {"k" * 256: "", "nothing": None, "n": -0.0, "b": False, "nan": "NaN"}},
]


def mixed() -> tuple[list[Json], list[tuple[int, str, str]]]:
    """Good events between bad ones, and the refusals to expect."""
    events, expected = [], []
    for number, (fields, field, reason) in enumerate(BAD):
        good = {**event(), **GOOD[number % len(GOOD)]}
        events.append({**good, "eventId": f"{number:0256}"} if "eventId" in good else good)
        expected.append((len(events), field, reason))
        events.append({**event(), **fields})
    return events, expected


@pytest.mark.parametrize("method", ["SendEvents", "SendEventsJson"])
def test_bad_events_are_named_and_the_good_ones_kept(api: Client, method: str) -> None:
    events, expected = mixed()
    answer = api.call(method, {"events": events} if method == "SendEvents" else lines(*events))
    assert refusals(answer) == expected
    assert all(each["message"] for each in answer["rejected"])
    assert answer["accepted"] == len(BAD)
    assert api.call("GetCatalog")["events"] == str(len(BAD))


def test_bad_rows_are_named_and_the_good_ones_kept(api: Client) -> None:
    rows = [fields for fields, _, _ in BAD if "data" not in fields]
    events = [each for fields in rows for each in (event(), {**event(), **fields})]
    numbers: list[Any] = [1.5] * len(events)
    numbers[0], numbers[2], numbers[4] = "NaN", "Infinity", "-Infinity"
    answer = api.call(
        "SendEventColumns",
        {
            "customerIds": [each["customerId"] for each in events],
            "eventTypes": [each["eventType"] for each in events],
            "eventIds": [each.get("eventId", "") for each in events],
            "eventTimesMs": [
                {"1": "-1", "2": "4133980800000"}.get(each.get("eventTime", "")[:1], "0") for each in events
            ],
            "columns": [
                {"attribute": "price", "numbers": numbers, "present": [n != 4 for n in range(len(events))]}
            ],
        },
    )
    expected = [(0, "data.price", "NOT_FINITE"), (2, "data.price", "NOT_FINITE")]
    reasons = [(field, reason) for fields, field, reason in BAD if "data" not in fields]
    expected += [(2 * number + 1, *reason) for number, reason in enumerate(reasons)]
    assert refusals(answer) == sorted(expected)
    assert answer["accepted"] == len(events) - len(expected)
    assert len(api.run(did())) == 1


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_reject_the_event(api: Client, number: float) -> None:
    events = [wire(data=struct_pb2.Struct(fields={"x": struct_pb2.Value(number_value=number)})), wire()]
    answer = api.call("SendEvents", ingest_pb2.SendEventsRequest(events=events).SerializeToString())
    assert (refusals(answer), answer["accepted"]) == ([(0, "data.x", "NOT_FINITE")], 1)


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(-1, 0), (0, -1), (0, 10**9), (4_133_980_800, 0), (2**62, 0), (-(2**62), 0)]
)
def test_timestamps_out_of_range_reject_the_event(api: Client, seconds: int, nanos: int) -> None:
    events = [wire(event_time=timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)), wire()]
    answer = api.call("SendEvents", ingest_pb2.SendEventsRequest(events=events).SerializeToString())
    assert (refusals(answer), answer["accepted"]) == ([(0, "event_time", "TIME_OUT_OF_RANGE")], 1)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"{", ""),
        (b"null", ""),
        (b"[]", ""),
        (b'{"customerId": "a", "eventType": "view"} x', ""),
        (b'{"customerId": "\xff", "eventType": "view"}', ""),
        (b'{"customerId": "\\ud800", "eventType": "view"}', ""),
        (b'{"customerId": 1, "eventType": "view"}', "customer_id"),
        (b'{"customerId": "a", "eventType": ["view"]}', "event_type"),
        (b'{"customerId": "a", "eventType": "view", "eventTime": 5}', "event_time"),
        (b'{"customerId": "a", "eventType": "view", "data": []}', "data"),
        (b'{"customerId": "a", "eventType": "view", "extra": 1}', None),
        (
            b'{"customerId": "a", "eventType": "view", "data": {"x": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
            None,
        ),
        (b"[" * 100_000, None),
    ],
    ids=lambda value: value[:45].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_a_malformed_line_is_refused_alone(api: Client, line: bytes, field: str | None) -> None:
    answer = api.call("SendEventsJson", lines(event("x"), line, event("y")))
    [(index, at, reason)] = refusals(answer)
    assert (index, reason, answer["accepted"]) == (1, "INVALID_JSON", 2)
    assert field is None or at == field
    assert api.run(did()) == {"x", "y"}


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-01",
        "2026-01-01t00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T24:00:00Z",
        "2026-02-30T00:00:00Z",
        "",
        "٢026-01-01T00:00:00Z",
    ],
)
def test_a_line_with_a_time_that_is_no_instant_is_refused(api: Client, time: str) -> None:
    answer = api.call(
        "SendEventsJson", lines(event(eventTime=time), event("y", eventTime="2026-01-01T01:00:00+01:00"))
    )
    assert refusals(answer) == [(0, "event_time", "INVALID_TIME")]
    assert (
        api.call("ListCustomerEvents", {"customerId": "y"})["events"][0]["eventTime"]
        == "2026-01-01T00:00:00Z"
    )


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b'{"x": NaN}', "data.x"),
        (b'{"x": 1, "y": -Infinity}', "data.y"),
        (b'{"x": 1e400}', "data.x"),
        (b'{"\\ud800": NaN}', "data.?"),
    ],
)
def test_a_line_with_a_number_that_is_not_finite_is_refused_alone(
    api: Client, data: bytes, field: str
) -> None:
    line = b'{"customerId": "a", "eventType": "view", "data": ' + data + b"}"
    answer = api.call("SendEventsJson", lines(event("x"), line, event("y")))
    assert (refusals(answer), answer["accepted"]) == ([(1, field, "NOT_FINITE")], 2)


def test_empty_lines_are_skipped_but_counted(api: Client) -> None:
    answer = api.call("SendEventsJson", lines(b"", event("a"), b"  \r", b"{", event("b", data=None), b""))
    assert (refusals(answer), answer["accepted"]) == ([(3, "", "INVALID_JSON")], 2)
    assert "accepted" not in api.call("SendEventsJson", {})


def test_columns_say_who_has_what(api: Client) -> None:
    api.call(
        "SendEventColumns",
        {
            "customerIds": ["a", "b", "c"],
            "eventTypes": ["view"],
            "columns": [
                {"attribute": "x", "strings": ["s", "", ""], "present": [True, False, True]},
                {"attribute": "x", "numbers": [0, -0.0, 0], "present": [False, True, False]},
                {"attribute": "y", "bools": [True, False, True]},
            ],
        },
    )
    found = [api.call("ListCustomerEvents", {"customerId": each})["events"][0] for each in "abc"]
    assert [each["data"] for each in found] == [
        {"x": "s", "y": True},
        {"x": 0, "y": False},
        {"x": "", "y": True},
    ]
    assert {each["eventTime"] for each in found} == {"2026-01-01T00:00:00Z"}


def test_a_row_with_an_attribute_twice_is_refused(api: Client) -> None:
    columns = [
        {"attribute": "x", "strings": ["s", "t"]},
        {"attribute": "x", "numbers": [1, 2], "present": [True, False]},
    ]
    answer = api.call(
        "SendEventColumns", {"customerIds": ["a", "b"], "eventTypes": ["view"], "columns": columns}
    )
    assert (refusals(answer), answer["accepted"]) == ([(0, "data.x", "REPEATED_ATTRIBUTE")], 1)


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"eventTypes": []}, "COLUMN_LENGTH", "eventTypes"),
        ({"eventTypes": ["a", "b", "c"]}, "COLUMN_LENGTH", "eventTypes"),
        ({"eventTimesMs": [1]}, "COLUMN_LENGTH", "eventTimesMs"),
        ({"eventIds": ["1"]}, "COLUMN_LENGTH", "eventIds"),
        ({"columns": [{"attribute": "x", "strings": ["s"]}]}, "COLUMN_LENGTH", "columns[0]"),
        ({"columns": [{"attribute": "x"}]}, "COLUMN_LENGTH", "columns[0]"),
        (
            {"columns": [{"attribute": "x", "strings": ["a", "b"], "bools": [True, True]}]},
            "COLUMN_LENGTH",
            "columns[0]",
        ),
        (
            {"columns": [{"attribute": "x", "strings": ["a", "b"], "present": [True]}]},
            "COLUMN_LENGTH",
            "columns[0].present",
        ),
        ({"columns": [{"strings": ["a", "b"]}]}, "MISSING_ATTRIBUTE_NAME", "columns[0].attribute"),
        ({"columns": [{"attribute": "x", "numbers": [1, 2]}] * 2}, "REPEATED_COLUMN", "columns"),
    ],
)
def test_columns_that_do_not_fit_fail_the_whole_request(
    api: Client, fields: Json, reason: str, field: str
) -> None:
    failed = api.failure("SendEventColumns", {"customerIds": ["a", "b"], "eventTypes": ["view"], **fields})
    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert [at for at, _ in failed.violations] == [field]
    assert "events" not in api.call("GetCatalog")


def test_too_many_at_once_are_refused_whole(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (servicer.MAX_EVENTS, servicer.MAX_ROWS, servicer.MAX_CUSTOMERS) == (10_000, 200_000, 10_000)
    assert servicer.MAX_JSON_BYTES == 32 << 20
    monkeypatch.setattr(servicer, "MAX_EVENTS", 2)
    monkeypatch.setattr(servicer, "MAX_ROWS", 2)
    monkeypatch.setattr(servicer, "MAX_CUSTOMERS", 2)
    monkeypatch.setattr(servicer, "MAX_COLUMNS", 2)
    three = [event()] * 3
    for method, request in (
        ("SendEvents", {"events": three}),
        ("SendEventsJson", lines(*three)),
        ("SendEventColumns", {"customerIds": ["a"] * 3, "eventTypes": ["view"]}),
        (
            "SendEventColumns",
            {"customerIds": ["a"], "eventTypes": ["view"], "columns": [{"attribute": "a"}] * 3},
        ),
        ("UpsertCustomers", {"customers": [{"customerId": "a"}] * 3}),
    ):
        failed = api.failure(method, request)
        assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_TOO_LARGE"), method
    assert api.call("SendEvents", {"events": three[:2]})["accepted"] == 2
    assert api.call("SendEventsJson", lines(*three[:2], b""))["accepted"] == 2
    monkeypatch.setattr(servicer, "MAX_JSON_BYTES", 8)
    assert api.failure("SendEventsJson", lines(event())).reason == "BATCH_TOO_LARGE"
    assert api.call("GetCatalog")["events"] == "4"


def test_of_two_copies_of_an_event_the_first_is_kept(serving: tuple[Client, StepClock]) -> None:
    api, clock = serving
    first = api.send(
        event("a", eventId="1", data={"n": 1}), event("a", eventId="1"), event("b", eventId="1"), event("a")
    )
    assert (first["accepted"], first["duplicates"]) == (3, 1)
    clock.now += 7 * 86_400_000 - 1
    again = api.call("SendEventsJson", lines(event("a", eventId="1", data={"n": 2}), event("a")))
    assert (again["accepted"], again["duplicates"]) == (1, 1)
    by_column = {"customerIds": ["b", "b"], "eventTypes": ["view"], "eventIds": ["1", ""]}
    assert api.call("SendEventColumns", by_column)["duplicates"] == 1
    [kept] = [
        each for each in api.call("ListCustomerEvents", {"customerId": "a"})["events"] if "eventId" in each
    ]
    assert kept["data"] == {"n": 1}
    clock.now += 1
    assert api.send(event("a", eventId="1"))["accepted"] == 1


MUTATIONS = {
    "SendEvents": ({"events": [event()]}, {"events": [event("b")]}),
    "SendEventsJson": (lines(event()), lines(event("b"))),
    "SendEventColumns": (
        {"customerIds": ["a"], "eventTypes": ["view"]},
        {"customerIds": ["b"], "eventTypes": ["view"]},
    ),
    "UpsertCustomers": ({"customers": [{"customerId": "a"}]}, {"customers": [{"customerId": "b"}]}),
}


@pytest.mark.parametrize("method", MUTATIONS)
def test_a_repeated_request_id_gets_the_first_response(
    serving: tuple[Client, StepClock], method: str
) -> None:
    api, clock = serving
    request, other = MUTATIONS[method]
    first = api.call(method, {**request, "requestId": "r"})
    api.send(event("c"))
    assert api.call(method, {**request, "requestId": "r"}) == first
    failed = api.failure(method, {**other, "requestId": "r"})
    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    another = next(each for each in MUTATIONS if each != method)
    assert api.failure(another, {**MUTATIONS[another][0], "requestId": "r"}).reason == "REQUEST_ID_REUSED"
    assert api.failure(method, {**request, "requestId": "é" * 129}).reason == "INVALID_REQUEST_ID"
    assert api.call("GetCatalog").get("customers") == "2"
    clock.now += requests.LIFETIME_MS
    assert api.call(method, {**other, "requestId": "r"})["accepted"] == 1


def test_a_stream_answers_every_batch_in_order(api: Client) -> None:
    batches = [{"send": {"events": [event(f"c{n}"), event("")], "requestId": f"r{n % 3}"}} for n in range(3)]
    answers = api.services.invoke("StreamEvents", *batches, *batches)
    assert [refusals(each["result"]) for each in answers] == [[(1, "customer_id", "MISSING_CUSTOMER_ID")]] * 6
    revisions = [each["result"]["revision"].partition("-")[2] for each in answers]
    assert revisions == ["1", "2", "3"] * 2


def test_a_stream_ends_at_the_first_batch_that_fails(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicer, "MAX_EVENTS", 1)
    with pytest.raises(grpc.RpcError) as ended:
        api.services.invoke("StreamEvents", *({"send": {"events": [event(f"c{n}")] * n}} for n in (1, 2, 1)))
    assert "at most 1" in ended.value.details()  # type: ignore[attr-defined]
    assert api.run(did()) == {"c1"}


def deep(levels: int) -> bytes:
    """Nest lists in an event's data deeper than protobuf decodes."""
    value = b"\x1a\x01a"
    for _ in range(levels):
        inner = b"\x0a" + varint(len(value)) + value
        value = b"\x32" + varint(len(inner)) + inner
    entry = b"\x0a\x01x\x12" + varint(len(value)) + value
    data = b"\x0a" + varint(len(entry)) + entry
    sent = b"\x0a\x01a\x12\x04view\x2a" + varint(len(data)) + data
    return b"\x0a" + varint(len(sent)) + sent


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


MALFORMED = {
    "bad UTF-8": b"\x0a\x0b\x0a\x03a\xffb\x12\x04view",
    "cut off": b"\x0a\x7f\x0a",
    "no protobuf": b"\xff\xff\xff",
    "nested too deep": deep(200),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_protobuf_cannot_decode_is_refused_and_nothing_kept(api: Client, data: bytes) -> None:
    failed = api.failure("SendEvents", data)
    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
    good = ingest_pb2.SendEventsRequest(events=[event_pb2.Event(customer_id="s", event_type="view")])
    framed = [b"\x0a" + varint(len(each)) + each for each in (good.SerializeToString(), data)]
    with pytest.raises(grpc.RpcError) as ended:
        api.services.invoke("StreamEvents", *framed)
    assert ended.value.code() == grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
    assert "not a valid" in ended.value.details()  # type: ignore[attr-defined]
    api.send(event("after"))
    assert api.run(did()) == {"s", "after"}


def test_profiles_merge_field_by_field(api: Client) -> None:
    def upsert(**data: Any) -> Json:
        answer: Json = api.call("UpsertCustomers", {"customers": [{"customerId": "a", "data": data}]})
        return answer

    def profile() -> Json:
        data: Json = api.call("GetCustomer", {"customerId": "a"})["customer"]["data"]
        return data

    upsert(city="Pune", age=3, vip=True, gender="FEMALE", dob="1990-02-28")
    upsert(age="three", gender=None, city="")
    assert profile() == {"city": "", "age": "three", "vip": True, "dob": "1990-02-28"}
    upsert(city=None, age=None, vip=None, dob=None, unknown=None)
    assert profile() == {}
    both = {
        "customers": [{"customerId": "a", "data": {"x": 1, "y": 1}}, {"customerId": "a", "data": {"x": 2}}]
    }
    assert api.call("UpsertCustomers", both)["accepted"] == 2
    assert profile() == {"x": 2, "y": 1}


@pytest.mark.parametrize(
    ("customer", "field", "reason"),
    [
        ({"customerId": ""}, "customer_id", "MISSING_CUSTOMER_ID"),
        ({"customerId": "undefined"}, "customer_id", "PLACEHOLDER_CUSTOMER_ID"),
        ({"customerId": LONG}, "customer_id", "TOO_LONG"),
        ({"customerId": "b", "data": {"gender": "female"}}, "data.gender", "INVALID_GENDER"),
        ({"customerId": "b", "data": {"gender": 1}}, "data.gender", "INVALID_GENDER"),
        ({"customerId": "b", "data": {"gender": ""}}, "data.gender", "INVALID_GENDER"),
        ({"customerId": "b", "data": {"dob": "1990-02-30"}}, "data.dob", "INVALID_DOB"),
        ({"customerId": "b", "data": {"dob": "1990-1-1"}}, "data.dob", "INVALID_DOB"),
        ({"customerId": "b", "data": {"dob": 1990}}, "data.dob", "INVALID_DOB"),
        ({"customerId": "b", "data": {"x": [1]}}, "data.x", "NESTED_VALUE"),
        ({"customerId": "b", "data": {"": 1}}, "data", "MISSING_ATTRIBUTE_NAME"),
    ],
)
def test_a_bad_customer_is_refused_whole_and_the_others_kept(
    api: Client, customer: Json, field: str, reason: str
) -> None:
    customer.setdefault("data", {}).setdefault("city", "Pune")
    answer = api.call("UpsertCustomers", {"customers": [{"customerId": "a"}, customer, {"customerId": "c"}]})
    assert (refusals(answer), answer["accepted"]) == ([(1, field, reason)], 2)
    assert api.run({"profile": {}}) == {"a", "c"}


def test_the_catalog_lists_what_everybody_knows_before_any_data(api: Client) -> None:
    catalog = api.call("GetCatalog")
    assert [each["eventType"] for each in catalog["eventTypes"]] == [
        "signup",
        "click",
        "view",
        "cart",
        "purchase",
    ]
    assert all(each["predefined"] and "events" not in each for each in catalog["eventTypes"])
    common = [
        "price",
        "brand",
        "productId",
        "category",
        "subCategory1",
        "subCategory2",
        "subCategory3",
        "deviceId",
        "sessionId",
    ]
    for each in catalog["eventTypes"]:
        assert [(one["attribute"], one["predefined"]) for one in each["attributes"]] == [
            (name, True) for name in common
        ]
    profile = [
        "email",
        "phoneNumber",
        "gender",
        "firstName",
        "lastName",
        "dob",
        "city",
        "state",
        "country",
        "zip",
    ]
    assert [(one["attribute"], one["predefined"]) for one in catalog["profileAttributes"]] == [
        (n, True) for n in profile
    ]
    assert catalog["timeZone"] == "UTC"
    assert "customers" not in catalog
    assert "events" not in catalog


def test_the_catalog_tells_kinds_ranges_and_frequent_values(api: Client) -> None:
    api.send(
        event("a", "odd", eventTime="2025-01-02T00:00:00Z", data={"x": "often", "price": 3}),
        event("a", "odd", eventTime="2025-01-01T00:00:00Z", data={"x": "often", "price": -1.5}),
        event("b", "odd", eventTime="2025-01-03T00:00:00Z", data={"x": "rare", "price": "free", "new": True}),
        event("b", "abc"),
    )
    api.call("UpsertCustomers", {"customers": [{"customerId": "p", "data": {"city": "Pune", "tier": 2}}]})
    catalog = api.call("GetCatalog")
    assert (catalog["customers"], catalog["events"]) == ("3", "4")
    assert [each["eventType"] for each in catalog["eventTypes"]][5:] == ["abc", "odd"]
    odd = catalog["eventTypes"][-1]
    assert (odd["events"], odd["customers"], "predefined" in odd) == ("3", "2", False)
    assert (odd["firstTime"], odd["lastTime"]) == ("2025-01-01T00:00:00Z", "2025-01-03T00:00:00Z")
    assert [each["attribute"] for each in odd["attributes"]][-2:] == ["new", "x"]
    kinds = {each["attribute"]: each.get("kinds", []) for each in odd["attributes"]}
    assert kinds["price"] == [
        {"kind": "STRING", "count": "1", "distinct": "1", "topValues": [{"value": "free", "count": "1"}]},
        {"kind": "NUMBER", "count": "2", "minimum": -1.5, "maximum": 3.0},
    ]
    assert kinds["x"][0]["topValues"] == [{"value": "often", "count": "2"}, {"value": "rare", "count": "1"}]
    assert kinds["new"] == [
        {"kind": "BOOL", "count": "1", "distinct": "1", "topValues": [{"value": True, "count": "1"}]}
    ]
    assert catalog["profileAttributes"][-1] == {
        "attribute": "tier",
        "kinds": [{"kind": "NUMBER", "count": "1", "minimum": 2.0, "maximum": 2.0}],
    }


def test_a_customer_is_shown_with_first_and_last_event(api: Client) -> None:
    api.send(*(event("a", eventTime=f"2025-01-0{day}T00:00:00.0019Z") for day in (2, 1, 3)))
    shown = api.call("GetCustomer", {"customerId": "a"})
    assert (shown["firstEventTime"], shown["lastEventTime"]) == (
        "2025-01-01T00:00:00.001Z",
        "2025-01-03T00:00:00.001Z",
    )
    assert (shown["events"], shown["customer"]) == ("3", {"customerId": "a"})
    api.call("UpsertCustomers", {"customers": [{"customerId": "p"}]})
    shown = api.call("GetCustomer", {"customerId": "p"})
    assert shown["customer"] == {"customerId": "p", "data": {}}
    assert not shown.keys() & {"events", "firstEventTime"}
    for method in ("GetCustomer", "ListCustomerEvents"):
        for unknown in ("A", "", "nobody"):
            failed = api.failure(method, {"customerId": unknown})
            assert (failed.code, failed.reason) == (grpc.StatusCode.NOT_FOUND, "CUSTOMER_NOT_FOUND")
    assert "events" not in api.call("ListCustomerEvents", {"customerId": "p"})


def test_events_are_listed_newest_first_on_one_snapshot(api: Client) -> None:
    times = ["2025-01-02", "2025-01-01", "2025-01-02", "2025-01-03"]
    api.send(
        *(event("a", eventTime=f"{day}T00:00:00Z", eventId=str(n)) for n, day in enumerate(times)), event("b")
    )
    everything = api.call("ListCustomerEvents", {"customerId": "a"})
    assert [each["eventId"] for each in everything["events"]] == ["3", "2", "0", "1"]
    assert "nextPageToken" not in everything
    page, seen = api.call("ListCustomerEvents", {"customerId": "a", "pageSize": 1}), []
    api.send(event("a", eventTime="2025-01-04T00:00:00Z"))
    while True:
        seen += [each["eventId"] for each in page["events"]]
        assert page["revision"] == everything["revision"]
        if "nextPageToken" not in page:
            break
        token = page["nextPageToken"]
        page = api.call("ListCustomerEvents", {"customerId": "a", "pageSize": 2, "pageToken": token})
    assert seen == ["3", "2", "0", "1"]
    assert (
        api.failure("ListCustomerEvents", {"customerId": "b", "pageToken": token}).reason
        == "PAGE_TOKEN_FOREIGN"
    )
    assert (
        api.failure("ListCustomerEvents", {"customerId": "a", "pageSize": -1}).reason == "INVALID_PAGE_SIZE"
    )


def test_an_event_without_a_time_has_that_of_its_arrival(serving: tuple[Client, StepClock]) -> None:
    api, clock = serving
    clock.now = NOW + 1234
    api.send(event("a"))
    api.call("SendEventsJson", lines(event("a", eventTime=None)))
    assert {each["eventTime"] for each in api.call("ListCustomerEvents", {"customerId": "a"})["events"]} == {
        "2026-01-01T00:00:01.234Z"
    }


def test_a_null_in_a_json_line_is_an_absent_field(api: Client) -> None:
    lines = [
        b'{"customerId": "a", "eventType": "t", "eventTime": null, "eventId": null, "data": null}',
        b'{"customerId": null, "eventType": "t"}',
        b'{"customerId": "a", "eventType": "t", "data": {"x": ' + b"9" * 400 + b"}}",
    ]
    sent = base64.b64encode(b"\n".join(lines)).decode()
    answer = api.call("SendEventsJson", {"jsonLines": sent})
    assert answer["accepted"] == 1
    assert refusals(answer) == [(1, "customer_id", "MISSING_CUSTOMER_ID"), (2, "data.x", "NOT_FINITE")]
