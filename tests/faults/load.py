"""What do clients of a server that is about to be killed do? Send, upsert and read, and remember what was said.

Every event has a number of its own, so that what is in the log can be compared with what was sent. A request
that was not acknowledged is sent again, as it was, before the next.
"""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from libs.gen.cohort.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    cohort_pb2,
    cohort_pb2_grpc,
    event_pb2,
    ingest_pb2,
    ingest_pb2_grpc,
    rule_pb2,
)
from libs.rpc.client import connect

ROWS = 12
CUSTOMERS = 90
BRANDS = ("acme", "zeta", "nil")
TYPES = ("view", "cart", "purchase")
ATTRIBUTES = ("city", "score", "member")
ERASED_AGO = 5
"""An erasure takes the customer whom the request so many before it brought."""
DEADLINE = 20


@dataclass(slots=True)
class Client:
    """One writer: its requests are numbered from 0; those below `acknowledged` were, the next may have been.

    Of three requests one has event ids, one a request id, one both; each fourth is an upsert. Of sixteen one erases
    a customer, one saves a cohort and one deletes it.
    """

    name: str
    acknowledged: int = 0
    sent: int = 0
    refused: int = 0
    """How often the server, alive, refused for want of room or because the disk failed."""
    plain: bool = False
    """Whether it only sends and upserts."""
    saved: dict[int, str] = field(default_factory=dict)
    """The ids of the cohorts saved, by request."""

    def numbers(self, request: int) -> list[int]:
        """Return the numbers of the events that a request has and that are to be there.

        One that may have been erased since is left out.
        """
        if is_upsert(request) or self.erases(request) or self.is_about_cohorts(request):
            return []
        return [self.number(request, row) for row in range(self.may_be_gone(request), ROWS)]

    def may_be_gone(self, request: int) -> bool:
        """Say whether the customer of a request's first event may be erased."""
        return self.erases(request + ERASED_AGO) and request + ERASED_AGO < self.sent

    def erases(self, request: int) -> bool:
        """Say whether a request erases a customer."""
        return not self.plain and request % 16 == 13

    def is_about_cohorts(self, request: int) -> bool:
        """Say whether a request saves or deletes a cohort."""
        return not self.plain and request % 8 == 6

    def newcomer(self, request: int) -> str:
        """Return the customer whom a request brings, and nobody else has."""
        return f"new {self.number(request, 0)}"

    def erased(self) -> list[str]:
        """Return the customers whose erasure was acknowledged."""
        return [self.newcomer(each - ERASED_AGO) for each in filter(self.erases, range(self.acknowledged))]

    def number(self, request: int, row: int) -> int:
        """Return the number of an event, unlike that of any other client's."""
        return (int(self.name) << 40) + request * ROWS + row

    def message(self, request: int) -> Any:
        """Return a request: the same each time."""
        request_id = f"{self.name}-{request}" if request % 3 or is_upsert(request) else ""
        if self.erases(request):
            gone = [self.newcomer(request - ERASED_AGO)]
            return ingest_pb2.DeleteCustomersRequest(customer_ids=gone, request_id=f"{self.name}-{request}")
        if self.is_about_cohorts(request) and request % 16 == 6:
            did = rule_pb2.Rule(did=rule_pb2.Did(event_type="view"))
            cohort = cohort_pb2.Cohort(name=f"{self.name}-{request}", rule=did)
            return cohort_pb2.CreateCohortRequest(cohort=cohort, request_id=f"{self.name}-{request}")
        if self.is_about_cohorts(request):
            saved = self.saved[request - 8]
            return cohort_pb2.DeleteCohortRequest(cohort_id=saved, request_id=f"{self.name}-{request}")
        if is_upsert(request):
            customers = [upsert(self.profile(request, which), request) for which in range(3)]
            return ingest_pb2.UpsertCustomersRequest(customers=customers, request_id=request_id)
        chance = random.Random(self.number(request, 0))
        events = []
        for row in range(ROWS):
            number = self.number(request, row)
            customer = f"c{chance.randrange(CUSTOMERS)}" if row else self.newcomer(request)
            event = event_pb2.Event(customer_id=customer, event_type=chance.choice(TYPES))
            event.event_time.FromMilliseconds(1_780_000_000_000 + chance.randrange(10**10))
            event.event_id = str(number) if request % 3 != 1 else ""
            event.data.update({"n": number, "brand": chance.choice(BRANDS), "price": chance.randrange(9)})
            events.append(event)
        return ingest_pb2.SendEventsRequest(events=events, request_id=request_id)

    def cohorts(self, requests: int) -> set[str]:
        """Return the names of the cohorts there are behind so many requests."""
        saving = () if self.plain else range(6, requests, 16)
        return {f"{self.name}-{each}" for each in saving if each + 8 >= requests}

    def acknowledge(self, answer: Any) -> None:
        """Take in the answer of a request."""
        if isinstance(answer, cohort_pb2.CreateCohortResponse):
            self.saved[self.acknowledged] = answer.cohort.cohort_id
        elif isinstance(answer, ingest_pb2.SendEventsResponse):
            assert answer.accepted + answer.duplicates == ROWS, answer
        elif isinstance(answer, ingest_pb2.UpsertCustomersResponse):
            assert answer.accepted == 3, answer
        self.acknowledged += 1

    def profile(self, request: int, which: int) -> str:
        """Return one of the customers whom an upsert of this client sets."""
        return f"p{self.name}-{(request // 4 + which) % 12}"

    def profiles(self, requests: int) -> dict[str, int]:
        """Return which request set each customer last, of so many requests."""
        return {
            self.profile(request, which): request
            for request in filter(is_upsert, range(requests))
            for which in range(3)
        }


def is_upsert(request: int) -> bool:
    """Say whether a request sets customers' data."""
    return request % 4 == 3


def upsert(customer_id: str, request: int) -> Any:
    """Return a customer with three attributes, one a kind, which all say the same number."""
    customer = event_pb2.Customer(customer_id=customer_id)
    customer.data.update({"city": f"town {request}", "score": request, "member": request % 2 == 1})
    return customer


class Stubs:
    """The services of a server."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stubs: list[Any] = [
            ingest_pb2_grpc.IngestServiceStub(channel),
            cohort_pb2_grpc.CohortServiceStub(channel),
            admin_pb2_grpc.AdminServiceStub(channel),
        ]

    def send(self, message: Any) -> Any:
        """Send a request, by the call it is for."""
        name = type(message).__name__.removesuffix("Request")
        [call] = (getattr(stub, name) for stub in self._stubs if hasattr(stub, name))
        return call(message, timeout=DEADLINE)


def write(target: str, client: Client, until: threading.Event) -> None:
    """Send until the server is gone or the time is up, one request after the other; compact behind an erasure."""
    with connect(target) as channel:
        stubs = Stubs(channel)
        while not until.is_set():
            message = client.message(client.acknowledged)
            client.sent = client.acknowledged + 1
            try:
                client.acknowledge(stubs.send(message))
                if isinstance(message, ingest_pb2.DeleteCustomersRequest):
                    stubs.send(admin_pb2.CompactRequest())
            except grpc.RpcError as error:
                if not _alive(error):
                    return
                client.refused += 1
                time.sleep(0.01)  # what a client does that is asked to come again later


def read(target: str, until: threading.Event) -> None:
    """Run rules until the server is gone or the time is up."""
    with connect(target) as channel:
        stub: Any = cohort_pb2_grpc.CohortServiceStub(channel)
        texts = ('view where brand = "acme" at least 2 times', "not (purchase) and profile where score > 3")
        while not until.is_set():
            for text in texts:
                try:
                    stub.RunRule(cohort_pb2.RunRuleRequest(text=text), timeout=DEADLINE)
                except grpc.RpcError as error:
                    if not _alive(error):
                        return
                    raise AssertionError(f"a reader was refused: {error.code()} {error.details()}") from error


def _alive(error: Any) -> bool:
    """Say whether a server answered: RESOURCE_EXHAUSTED, or UNAVAILABLE by its own word."""
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return True
    return any(reason in str(error.trailing_metadata()) for reason in ("STORAGE_FAILED", "STORAGE_BUSY"))


def repeat(target: str, clients: Sequence[Client]) -> None:
    """Send what was acknowledged and has ids again; and what was not, for the first time or again."""
    with connect(target) as channel:
        stubs = Stubs(channel)
        for client in clients:
            for request in range(client.sent):
                if not client.numbers(request) or client.may_be_gone(request):
                    continue  # a later upsert or erasure of the same customers may have come: this would undo it
                stubs.send(client.message(request))
            if client.sent > client.acknowledged and client.numbers(client.acknowledged):
                client.acknowledged = client.sent
