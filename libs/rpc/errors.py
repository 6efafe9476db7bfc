"""Which gRPC status is a fault? The only module that knows, in both directions.

A fault leaves as a status with `google.rpc.ErrorInfo` (domain `cohort`) and, where they fit, `BadRequest`,
`ResourceInfo` and `RetryInfo`; `Failure` reads them back on a client's side.
"""

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from libs.errors import (
    Conflict,
    Corrupt,
    Denied,
    Fault,
    Invalid,
    Missing,
    NotBuilt,
    OutOfRange,
    Overloaded,
    Refused,
    Taken,
    Unauthenticated,
    Unavailable,
)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
"""What grpc hands to a handler beside the request."""

DOMAIN = "cohort"
DETAILS_KEY = "grpc-status-details-bin"
UNDERSCORE = re.compile(r"_([a-z0-9])")

CODES: dict[type[Fault], grpc.StatusCode] = {
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Denied: grpc.StatusCode.PERMISSION_DENIED,
    Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    Missing: grpc.StatusCode.NOT_FOUND,
    Taken: grpc.StatusCode.ALREADY_EXISTS,
    Conflict: grpc.StatusCode.ABORTED,
    Refused: grpc.StatusCode.FAILED_PRECONDITION,
    OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    NotBuilt: grpc.StatusCode.UNIMPLEMENTED,
    Corrupt: grpc.StatusCode.DATA_LOSS,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
}


def number(code: grpc.StatusCode) -> int:
    """Return the google.rpc.Code of a status code."""
    value: tuple[int, str] = code.value
    return value[0]


def code_of(fault: Fault) -> grpc.StatusCode:
    """Return the status code of a fault; UNKNOWN for a bare `Fault`, which nobody should raise."""
    return CODES.get(type(fault), grpc.StatusCode.UNKNOWN)


def json_path(path: str) -> str:
    """Return a field path in the JSON names that people type: min_revision is minRevision."""
    return UNDERSCORE.sub(lambda found: found[1].upper(), path)


def to_status(code: grpc.StatusCode, fault: Fault) -> status_pb2.Status:
    """Write a fault as a google.rpc.Status with its details."""
    info = error_details_pb2.ErrorInfo(reason=fault.reason, domain=DOMAIN)
    details = [info]
    field = json_path(getattr(fault, "field", ""))
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=field, description=fault.message, reason=fault.reason
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(fault, Missing | Taken) and fault.resource:
        details.append(
            error_details_pb2.ResourceInfo(
                resource_type=fault.resource, resource_name=fault.name, description=fault.message
            )
        )
    if isinstance(fault, Refused | Invalid):
        info.metadata.update(fault.metadata)
    if isinstance(fault, Overloaded | Unavailable):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(fault.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=number(code), message=fault.message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


async def abort(context: Context, fault: Fault, code: grpc.StatusCode | None = None) -> None:
    """End the call with the status of `fault`. Always raises."""
    code = code or code_of(fault)
    status = to_status(code, fault)
    others: Any = context.trailing_metadata() or ()
    await context.abort(code, fault.message, (*others, (DETAILS_KEY, status.SerializeToString())))


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call as its client sees it: status, reason, message, and (field, what is wrong) pairs."""

    code: grpc.StatusCode
    reason: str
    message: str
    violations: tuple[tuple[str, str], ...] = ()
    resource: str = ""
    """The id of the resource that is missing or in the way, where the server named one."""
    retry_after: float | None = None
    """How long the server asked to be left alone, in seconds, where it did."""

    @classmethod
    def of(cls, error: grpc.RpcError) -> "Failure":
        """Read the details of a failed call."""
        call: Any = error
        code, message = call.code(), call.details() or ""
        reason, resource, violations, retry_after = "", "", [], None
        for key, value in call.trailing_metadata() or ():
            if key != DETAILS_KEY:
                continue
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                    info = error_details_pb2.ErrorInfo()
                    detail.Unpack(info)
                    reason = info.reason
                elif detail.Is(error_details_pb2.ResourceInfo.DESCRIPTOR):
                    named = error_details_pb2.ResourceInfo()
                    detail.Unpack(named)
                    resource = named.resource_name
                elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                    retry = error_details_pb2.RetryInfo()
                    detail.Unpack(retry)
                    retry_after = retry.retry_delay.ToTimedelta().total_seconds()
                elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
                    bad = error_details_pb2.BadRequest()
                    detail.Unpack(bad)
                    violations += [(v.field, v.description) for v in bad.field_violations]
        return cls(code, reason, message, tuple(violations), resource, retry_after)
