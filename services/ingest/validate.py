"""Which events and customers are kept? The checks at the door, the same for every form of request.

An item that fails is refused with its index, the field at fault and why; the others are kept. Neighbours:
`rows`, `table` and `columns` read requests and ask this about each different string, and about each event that
looks bad.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from libs.errors import Invalid
from libs.events.batch import Scalar, Upsert
from libs.events.commit import Refusal
from libs.instants import parse_date

MAX_NAME_BYTES = 256
MAX_VALUE_BYTES = 1 << 20
"""Of a string value: far past what is compared or counted, and short of what would be a file."""
MAX_OWN_ATTRIBUTES = 2_000
"""Attributes that one event has, and fields of one upsert: a fifth of the names a project has by default."""
MAX_ATTRIBUTES = 20_000
"""Different attributes of one request, before any of them costs a column."""
PLACEHOLDERS = frozenset({"None", "null", "undefined", "NaN"})
"""What programs write where a customer id is missing; kept, it would merge strangers into one customer."""
SUSPECT_NAMES = PLACEHOLDERS | {""}
"""Names that some check refuses; any other name is refused for its length alone."""
FIRST_TIME_MS = 0
END_TIME_MS = 4_133_980_800_000
"""2101-01-01T00:00:00Z: event times are in the years 1970 to 2100."""
GENDERS = frozenset({"MALE", "FEMALE"})


class Refused(Exception):
    """One item is not kept: the field at fault, why for programs, why for people."""

    def __init__(self, field: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.field, self.reason, self.message = field, reason, message

    def at(self, index: int) -> Refusal:
        """Return it as the refusal of item `index`."""
        return Refusal(index, self.field, self.reason, self.message)


def check_customer_id(customer_id: str) -> None:
    """Raise `Refused` for an id that is empty, a placeholder or too long."""
    if not customer_id:
        raise Refused("customer_id", "MISSING_CUSTOMER_ID", "customer_id is empty")
    if customer_id in PLACEHOLDERS:
        raise Refused(
            "customer_id", "PLACEHOLDER_CUSTOMER_ID", "customer_id is a placeholder for a missing value"
        )
    _check_bytes("customer_id", customer_id, "customer_id")


def check_event_type(event_type: str) -> None:
    """Raise `Refused` for an event type that is empty or too long."""
    if not event_type:
        raise Refused("event_type", "MISSING_EVENT_TYPE", "event_type is empty")
    _check_bytes("event_type", event_type, "event_type")


def check_event_id(event_id: str) -> None:
    """Raise `Refused` for an event id that is too long."""
    _check_bytes("event_id", event_id, "event_id")


def check_attributes(attributes: int) -> None:
    """Raise `Invalid` for a request with too many different attributes."""
    if attributes > MAX_ATTRIBUTES:
        raise Invalid(
            "BATCH_TOO_LARGE", f"at most {MAX_ATTRIBUTES} different attributes are taken at once; split them"
        )


def check_time(time: int) -> None:
    """Raise `Refused` for an event time, ms, outside the years 1970 to 2100."""
    if not FIRST_TIME_MS <= time < END_TIME_MS:
        raise Refused("event_time", "TIME_OUT_OF_RANGE", "event_time is outside the years 1970 to 2100")


def check_attribute(attribute: str) -> None:
    """Raise `Refused` for an attribute's name that is empty or too long."""
    if not attribute:
        raise Refused("data", "MISSING_ATTRIBUTE_NAME", "an attribute has an empty name")
    _check_bytes("data", attribute, "an attribute's name")


def check_value(attribute: str, value: Any) -> Scalar:
    """Return a value. Raises `Refused` for what is no scalar, no finite number, or too long."""
    if isinstance(value, str):
        if is_long(value):
            raise too_long(attribute)
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        if isfinite(value):
            return value
        raise Refused(f"data.{attribute}", "NOT_FINITE", "a number must be finite")
    raise Refused(
        f"data.{attribute}", "NESTED_VALUE", "a value must be a string, a number or a boolean, not nested"
    )


def is_long(value: str) -> bool:
    """Say whether a string value has too many bytes."""
    return len(value) * 4 > MAX_VALUE_BYTES and len(value.encode()) > MAX_VALUE_BYTES


def too_long(attribute: str) -> Refused:
    """Say that a string value has too many bytes."""
    return Refused(f"data.{attribute}", "TOO_LONG", f"a value has more than {MAX_VALUE_BYTES} bytes")


def too_many_attributes() -> Refused:
    """Say that an event or a customer has too many attributes."""
    return Refused("data", "TOO_MANY_ATTRIBUTES", f"there are more than {MAX_OWN_ATTRIBUTES} attributes")


def _check_bytes(field: str, text: str, what: str) -> None:
    if len(text) * 4 > MAX_NAME_BYTES and len(text.encode()) > MAX_NAME_BYTES:
        raise Refused(field, "TOO_LONG", f"{what} has more than {MAX_NAME_BYTES} bytes")


def check_event(customer_id: str, event_type: str, time: int, event_id: str, data: Mapping[str, Any]) -> None:
    """Raise `Refused` for the first thing that is wrong with an event, `time` in ms. None is an absent value."""
    check_customer_id(customer_id)
    check_event_type(event_type)
    check_event_id(event_id)
    check_time(time)
    if (
        len(data) > MAX_OWN_ATTRIBUTES
        and sum(each is not None for each in data.values()) > MAX_OWN_ATTRIBUTES
    ):
        raise too_many_attributes()
    for attribute, value in data.items():
        check_attribute(attribute)
        if value is not None:
            check_value(attribute, value)


def check_upsert(customer_id: str, data: Mapping[str, Any]) -> Upsert:
    """Return a customer's changes, None for attributes that go. Raises `Refused`."""
    check_customer_id(customer_id)
    if len(data) > MAX_OWN_ATTRIBUTES:
        raise too_many_attributes()
    kept: dict[str, Scalar | None] = {}
    for attribute, value in data.items():
        check_attribute(attribute)
        kept[attribute] = None if value is None else check_value(attribute, value)
    gender = kept.get("gender")
    if gender is not None and gender not in GENDERS:
        raise Refused("data.gender", "INVALID_GENDER", "gender is MALE or FEMALE")
    dob = kept.get("dob")
    if dob is not None and (not isinstance(dob, str) or parse_date(dob) is None):
        raise Refused("data.dob", "INVALID_DOB", "dob is a date as in 1990-12-31")
    return Upsert(customer_id, kept)
