"""How is a number compared? Reads counts and aggregates off the wire, and refuses bad ones."""

from math import isfinite
from typing import Any

from libs.gen.cohort.v1 import rule_pb2
from services.cohort.limits import MAX_NAME_BYTES
from services.cohort.refusal import bad
from services.cohort.rule import Aggregate, Comparison, Count, Function

OPS = "AT_LEAST, AT_MOST, EXACTLY, MORE_THAN, LESS_THAN or BETWEEN"
FUNCTIONS = "SUM, AVERAGE, MINIMUM, MAXIMUM, DISTINCT or ACTIVE_DAYS"


def check_name(name: str, path: str, what: str) -> None:
    """Refuse what is no name of an event type or attribute."""
    if not name:
        bad(path, "is required")
    if len(name.encode()) > MAX_NAME_BYTES:
        bad(path, f"{what} has at most {MAX_NAME_BYTES} bytes")


def read_count(message: rule_pb2.Count, path: str) -> Count:
    """Read a test of a number of events. Raises `Invalid`."""
    op = _read_op(message, path)
    if message.HasField("value") and message.value < 0:
        bad(f"{path}.value", "must be 0 or more")
    _check_ends(message, path, op)
    return Count(op, message.value, message.upper if op is Comparison.BETWEEN else None)


def read_aggregate(message: rule_pb2.Aggregate, path: str) -> Aggregate:
    """Read a test of a figure. Raises `Invalid`."""
    known = rule_pb2.Aggregate
    if (
        message.function not in known.Function.values()
        or message.function == rule_pb2.Aggregate.FUNCTION_UNSPECIFIED
    ):
        bad(f"{path}.function", f"is required: {FUNCTIONS}")
    function = Function(known.Function.Name(message.function))
    if function is not Function.ACTIVE_DAYS:
        check_name(message.attribute, f"{path}.attribute", "an attribute's name")
    elif message.attribute:
        bad(f"{path}.attribute", "ACTIVE_DAYS takes none")
    op = _read_op(message, path)
    for field in ("value", "upper"):
        if message.HasField(field) and not isfinite(getattr(message, field)):
            bad(f"{path}.{field}", "must be a finite number")
    _check_ends(message, path, op)
    upper = message.upper if op is Comparison.BETWEEN else None
    return Aggregate(function, message.attribute or None, op, message.value, upper)


def _read_op(message: Any, path: str) -> Comparison:
    op = rule_pb2.Count
    if message.op not in op.Op.values() or message.op == op.OP_UNSPECIFIED:
        bad(f"{path}.op", f"is required: {OPS}")
    return Comparison(op.Op.Name(message.op))


def _check_ends(message: Any, path: str, op: Comparison) -> None:
    if not message.HasField("value"):
        bad(f"{path}.value", "is required")
    if op is not Comparison.BETWEEN:
        if message.HasField("upper"):
            bad(f"{path}.upper", "goes with BETWEEN only")
    elif not message.HasField("upper"):
        bad(f"{path}.upper", "is required with BETWEEN")
    elif message.upper < message.value:
        bad(f"{path}.upper", "must not be below the lower number")
