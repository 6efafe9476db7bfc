import grpc
from google.rpc import error_details_pb2

from libs.errors import Invalid
from libs.rpc.errors import to_status


def test_what_is_invalid_is_said_for_programs_too() -> None:
    fault = Invalid("INVALID_RULE", "line 1, column 2: no", "text", {"line": "1", "column": "2"})
    info = error_details_pb2.ErrorInfo()
    to_status(grpc.StatusCode.INVALID_ARGUMENT, fault).details[0].Unpack(info)
    assert (info.domain, info.reason) == ("cohort", "INVALID_RULE")
    assert dict(info.metadata) == {"line": "1", "column": "2"}
