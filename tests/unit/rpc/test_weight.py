"""What a request takes is known before it is decoded, and never less than it is."""

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from libs.errors import Invalid
from libs.gen.cohort.v1 import cohort_pb2, event_pb2, ingest_pb2, rule_pb2
from libs.rpc.weight import COPIES, MAX_ENTRIES, MAX_PARTS_BYTES, Scale

EVENTS = Scale.of(ingest_pb2.SendEventsRequest.DESCRIPTOR)
COLUMNS = Scale.of(ingest_pb2.SendEventColumnsRequest.DESCRIPTOR)
RULES = Scale.of(cohort_pb2.RunRuleRequest.DESCRIPTOR)
STREAM = Scale.of(ingest_pb2.StreamEventsRequest.DESCRIPTOR)
EMPTY_EVENT = b"\x0a\x00"


def inside(number: int, content: bytes) -> bytes:
    """A message that holds another at a field."""
    size, length = len(content), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


def test_bytes_weigh_as_often_as_they_are_there_and_each_event_and_attribute_besides() -> None:
    def weigh(attributes: int) -> int:
        data = dict.fromkeys(map(str, range(attributes)), 1.0)
        message = ingest_pb2.SendEventsRequest(events=[event_pb2.Event(customer_id="c", data=data)])
        return EVENTS.weigh(message.SerializeToString()) - COPIES * message.ByteSize()

    assert weigh(0) > 100
    assert weigh(8) - weigh(7) == weigh(2) - weigh(1) > 150


@pytest.mark.parametrize(
    ("scale", "data"),
    [
        (EVENTS, EMPTY_EVENT * (4 << 20)),
        (STREAM, inside(1, EMPTY_EVENT * (4 << 20))),
        (COLUMNS, EMPTY_EVENT * (10 << 20)),
        (COLUMNS, inside(3, bytes(20 << 20))),
        (RULES, inside(1, inside(2, EMPTY_EVENT * (4 << 20)))),
    ],
    ids=["events", "a stream's events", "strings", "packed numbers", "rules"],
)
def test_a_request_of_too_many_parts_is_refused_undecoded(scale: Scale, data: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        scale.weigh(data)
    assert refused.value.reason == "BATCH_TOO_LARGE"
    assert str(MAX_PARTS_BYTES >> 20) in refused.value.message


@pytest.mark.parametrize("more", [0, 1])
def test_a_map_has_a_bound_of_its_own_for_protobuf_is_slow_with_large_ones(more: int) -> None:
    entries = {str(number): struct_pb2.Value() for number in range(MAX_ENTRIES + more)}
    event = event_pb2.Event(data=struct_pb2.Struct(fields=entries))
    data = ingest_pb2.SendEventsRequest(events=[event, event]).SerializeToString()
    if more:
        with pytest.raises(Invalid, match=str(MAX_ENTRIES)):
            EVENTS.weigh(data)
    else:
        EVENTS.weigh(data)


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05a", b"\x0f", b"\x0a\xff", b"\xff" * 11, b"\x09\0"])
def test_what_is_cut_short_or_no_message_is_said_to_be(data: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        EVENTS.weigh(data)
    assert refused.value.reason == "MALFORMED_MESSAGE"


@given(st.binary(max_size=200))
def test_no_bytes_that_protobuf_takes_are_refused(data: bytes) -> None:
    for kind, scale in ((ingest_pb2.SendEventsRequest, EVENTS), (cohort_pb2.RunRuleRequest, RULES)):
        try:
            kind.FromString(data)
        except Exception:
            continue
        assert scale.weigh(data) <= len(data) * scale.worst


def test_a_message_in_which_fields_are_unknown_is_weighed() -> None:
    other = rule_pb2.Rule(did=rule_pb2.Did(event_type="view")).SerializeToString()
    assert EVENTS.weigh(inside(15, other) + inside(1, b"")) > COPIES * len(other)
