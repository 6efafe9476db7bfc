"""How does a saved cohort look on the wire, and what may a client write into one?"""

import unicodedata
from typing import Any

from google.protobuf import timestamp_pb2
from pyroaring import BitMap

from libs.engine import SHARD
from libs.errors import Invalid
from libs.gen.cohort.v1 import cohort_pb2, rule_pb2
from libs.index.calendar import Calendar
from libs.index.roaring_check import read_bitmap
from services.cohort.store import CohortRecord
from services.cohort.translate import read_rule

MAX_NAME_BYTES = 256
MAX_DESCRIPTION_BYTES = 4096
MAX_CUSTOMER_BYTES = 256
UPDATABLE = ("name", "description", "rule")


def write_cohort(record: CohortRecord, *, with_rule: bool = True) -> cohort_pb2.Cohort:
    """Write a saved cohort, without its size."""
    cohort = cohort_pb2.Cohort(
        cohort_id=record.cohort_id, name=record.name, description=record.description, etag=record.etag
    )
    cohort.static = record.static
    if with_rule and not record.static:
        cohort.rule.CopyFrom(rule_pb2.Rule.FromString(record.rule))
    cohort.create_time.FromMilliseconds(record.create_time)
    cohort.update_time.FromMilliseconds(record.update_time)
    return cohort


def read_fields(sent: cohort_pb2.Cohort, fields: tuple[str, ...], calendar: Calendar) -> dict[str, Any]:
    """Read what a client wrote into some of `UPDATABLE`, as it is kept. Raises `Invalid`."""
    readers = {"name": _read_name, "description": _read_description}
    read: dict[str, Any] = {field: readers[field](sent) for field in fields if field in readers}
    if "rule" in fields:
        read["rule"] = _read_rule(sent, calendar)
    return read


def read_list(sent: cohort_pb2.Cohort) -> list[str] | None:
    """Read the list of a static cohort, each customer once; None where the cohort is none. Raises `Invalid`.

    A rule instead of a list is frozen: its list is empty here.
    """
    if not sent.static:
        if sent.customer_ids:
            raise Invalid(
                "INVALID_CUSTOMER_IDS", "only a static cohort is a list: say static", "cohort.customer_ids"
            )
        return None
    if sent.customer_ids and sent.HasField("rule"):
        raise Invalid("INVALID_CUSTOMER_IDS", "say a list or a rule, not both", "cohort.customer_ids")
    listed = list(dict.fromkeys(sent.customer_ids))
    for customer_id in listed:
        if not customer_id or len(customer_id.encode()) > MAX_CUSTOMER_BYTES:
            place = list(sent.customer_ids).index(customer_id)
            raise Invalid(
                "INVALID_CUSTOMER_IDS",
                f"a customer_id has 1 to {MAX_CUSTOMER_BYTES} bytes",
                f"cohort.customer_ids[{place}]",
            )
    return listed


def _read_name(sent: cohort_pb2.Cohort) -> str:
    if not sent.name.strip():
        raise Invalid("INVALID_COHORT_NAME", "a cohort needs a name", "cohort.name")
    if len(sent.name.encode()) > MAX_NAME_BYTES:
        raise Invalid("INVALID_COHORT_NAME", f"a name has at most {MAX_NAME_BYTES} bytes", "cohort.name")
    if any(unicodedata.category(char) == "Cc" for char in sent.name):
        raise Invalid("INVALID_COHORT_NAME", "a name has no control characters", "cohort.name")
    return sent.name


def _read_description(sent: cohort_pb2.Cohort) -> str:
    if len(sent.description.encode()) > MAX_DESCRIPTION_BYTES:
        raise Invalid(
            "INVALID_DESCRIPTION",
            f"a description has at most {MAX_DESCRIPTION_BYTES} bytes",
            "cohort.description",
        )
    return sent.description


def _read_rule(sent: cohort_pb2.Cohort, calendar: Calendar) -> bytes:
    if not sent.HasField("rule"):
        raise Invalid("INVALID_RULE", "cohort.rule: is required", "cohort.rule")
    read_rule(sent.rule, calendar, "cohort.rule")
    return sent.rule.SerializeToString(deterministic=True)


def read_set(sent: cohort_pb2.MemberSet, customers: int) -> BitMap:
    """Read members of this deployment, numbered below `customers`. Raises `Invalid`."""
    members = BitMap()
    for place, shard in enumerate(sent.shards):
        field = f"members.shards[{place}]"
        if shard.shard != SHARD:
            raise Invalid("UNKNOWN_SHARD", "there is no such shard", f"{field}.shard")
        try:
            members |= read_bitmap(shard.roaring)
        except ValueError:
            raise Invalid("INVALID_BITMAP", "these bytes are no bitmap", f"{field}.roaring") from None
        if members and members.max() >= customers:
            raise Invalid("UNKNOWN_MEMBER", "there are no such members", f"{field}.roaring")
    return members


def as_of(request: Any) -> timestamp_pb2.Timestamp | None:
    """Return the instant that a request names, None where it names none."""
    return request.as_of if request.HasField("as_of") else None
