"""How do erasures look on the wire, and what may a client ask of them?"""

from collections.abc import Callable

from libs.errors import Invalid
from libs.events.erasures import Erasure, no_such_erasure, read_id, write_id
from libs.gen.cohort.v1 import ingest_pb2
from services.ingest.waiting import ACKNOWLEDGED, Report, write_report


def read_erasure(request: ingest_pb2.DeleteCustomersRequest) -> list[str]:
    """Return the ids to erase. Raises `Invalid` where there are none."""
    if not request.customer_ids:
        raise Invalid("MISSING_CUSTOMER_IDS", "name at least one customer to erase", "customer_ids")
    return list(request.customer_ids)


def read_erasure_id(request: ingest_pb2.ConfirmErasureRequest) -> bytes:
    """Return the key of the erasure that is named. Raises `Invalid` where none is, `Missing` for what is no id."""
    if not request.erasure_id:
        raise Invalid("MISSING_ERASURE_ID", "say which erasure, by its erasure_id", "erasure_id")
    key = read_id(request.erasure_id)
    if not key:
        raise no_such_erasure()
    return key


def write_erasure(
    key: bytes, erasure: Erasure, report: Report, token: Callable[[int], str]
) -> ingest_pb2.Erasure:
    """Write an erasure and what it waits for; `token` writes a revision."""
    written = ingest_pb2.Erasure(
        erasure_id=write_id(key), customer_id=erasure.customer_id, revision=token(erasure.revision)
    )
    written.create_time.FromMilliseconds(erasure.create_time)
    written.acknowledged = erasure.acknowledged
    write_report(ACKNOWLEDGED if erasure.acknowledged else report, written)
    return written
