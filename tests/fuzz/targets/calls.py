"""Whole calls: any request to any method that changes nothing lasting, as its servicer answers it."""

import inspect
from typing import Any

from libs.gen.cohort.v1 import cohort_pb2, ingest_pb2
from tests.fuzz.targets import Target
from tests.fuzz.targets.messages import built, of_method
from tests.fuzz.targets.worlds import World

COHORT = cohort_pb2.DESCRIPTOR.services_by_name["CohortService"]
INGEST = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"]
READS = (
    *("RunRule", "ParseRule", "FormatRule", "GetCohort", "ListCohorts", "ListMembers", "StreamMembers"),
    *("GetMemberSet", "ResolveMembers", "CheckMembership", "BatchCheckMembership", "LookupCohorts"),
    *("ExplainMembership", "GetSizeHistory", "CompareCohorts", "UpdateCohort"),
)
INGESTS = (
    "GetCustomer",
    "ListCustomerEvents",
    "GetCatalog",
    "ListErasures",
    "ConfirmErasure",
    "ReportErasures",
    "SendEventsJson",
)


def _calls(world: World, servicer: Any, service: Any, names: tuple[str, ...]) -> Target:
    kinds = [of_method(service, name) for name in names]

    def run(data: bytes) -> None:
        which = data[0] % len(names) if data else 0
        request = built(data[1:], kinds[which])
        _adjust(world, request)
        answer = getattr(servicer, names[which])(request, None)
        messages = world.listed(answer) if inspect.isasyncgen(answer) else [world.wait(answer)]
        for message in messages:
            message.SerializeToString()

    return Target(run, [bytes([which, 0]) + bytes(range(1, 120, 3)) for which in range(len(names))])


def _adjust(world: World, request: Any) -> None:
    """Have what may name a cohort name one that is there, as often as not, and nothing be remembered for ever."""
    for name, value in (("cohort_id", world.cohort_id), ("request_id", ""), ("validate_only", True)):
        if name in request.DESCRIPTOR.fields_by_name and (name != "cohort_id" or request.cohort_id == "a"):
            setattr(request, name, value)
    if isinstance(request, cohort_pb2.UpdateCohortRequest):
        request.cohort.cohort_id = world.cohort_id
    if isinstance(request, ingest_pb2.SendEventsJsonRequest):
        request.json_lines = b""
    if isinstance(request, cohort_pb2.GetSizeHistoryRequest):
        request.start, request.to = request.start[:8] + "01", request.start[:8] + "03"


def cohort_calls() -> Target:
    """CohortService, less what would fill the store."""
    world = World()
    return _calls(world, world.cohort, COHORT, READS)


def ingest_calls() -> Target:
    """IngestService, less what would fill the log."""
    world = World()
    return _calls(world, world.ingest, INGEST, INGESTS)
