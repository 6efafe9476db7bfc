"""What does IngestService answer? Translation between the wire and the engine, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf import timestamp_pb2
from google.protobuf.message import Message
from numpy.typing import NDArray

from libs import blocking
from libs.clock import Clock
from libs.engine import Engine
from libs.errors import Invalid, Missing
from libs.events.batch import Batch
from libs.events.commit import Receipt, Refusal, Submission
from libs.events.erasures import Erasure
from libs.events.log import LoggedEvent
from libs.gen.cohort.v1 import event_pb2, ingest_pb2, ingest_pb2_grpc
from libs.index.snapshot import Snapshot
from libs.rpc.errors import Context
from libs.rpc.pages import Pages, page_size
from libs.rpc.values import struct
from libs.storage.projects import Quota
from libs.storage.requests import check_id, fingerprint
from services.ingest.allowance import Allowance
from services.ingest.catalog import read_asked, write_catalog
from services.ingest.columns import collect_columns
from services.ingest.erasing import read_erasure, read_erasure_id, write_erasure
from services.ingest.lines import collect_lines
from services.ingest.rows import collect_events
from services.ingest.structs import scalars
from services.ingest.validate import Refused, check_upsert
from services.ingest.waiting import Waiting, read_reports

MAX_EVENTS = 10_000
MAX_ROWS = 200_000
MAX_COLUMNS = 10_000
MAX_JSON_BYTES = 32 << 20
MAX_CUSTOMERS = 10_000

Checked = tuple[Batch, list[Refusal]]


@dataclass(frozen=True, slots=True)
class CustomerEvents:
    """A customer's events as one chain of pages sees them: log rows, newest first, (n,) int64."""

    customer_id: str
    number: int
    rows: NDArray[np.int64]
    revision: str


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """IngestService over one engine."""

    def __init__(self, engine: Engine, clock: Clock, quota: Callable[[], Quota] = Quota) -> None:
        """Take the engine, and what says what its project may take now."""
        self._allowance = Allowance(quota, engine.log_bytes, clock)
        self._engine = engine
        self._clock = clock
        self._pages: Pages[CustomerEvents] = Pages(clock)
        self._erasures: Pages[list[tuple[bytes, Erasure]]] = Pages(clock)
        self._waiting = Waiting()

    async def SendEvents(
        self, request: ingest_pb2.SendEventsRequest, context: Context
    ) -> ingest_pb2.SendEventsResponse:
        """Append a batch of events."""
        return await self._send_events(request)

    async def StreamEvents(
        self, requests: AsyncIterator[ingest_pb2.StreamEventsRequest], context: Context
    ) -> AsyncIterator[ingest_pb2.StreamEventsResponse]:
        """Append batches, each answered when it is on disk and before the next is read."""
        async for request in requests:
            result = await self._send_events(request.send)
            del request  # of megabytes maybe, and the next may be long in coming
            yield ingest_pb2.StreamEventsResponse(result=result)

    async def SendEventColumns(
        self, request: ingest_pb2.SendEventColumnsRequest, context: Context
    ) -> ingest_pb2.SendEventColumnsResponse:
        """Append a columnar batch."""
        _check_size(len(request.customer_ids), MAX_ROWS, "rows", "customer_ids")
        _check_size(len(request.columns), MAX_COLUMNS, "columns", "columns")
        rows = len(request.customer_ids)
        receipt = await self._send(request, rows, lambda: collect_columns(request, self._clock()))
        return ingest_pb2.SendEventColumnsResponse(duplicates=receipt.duplicates, **self._outcome(receipt))

    async def SendEventsJson(
        self, request: ingest_pb2.SendEventsJsonRequest, context: Context
    ) -> ingest_pb2.SendEventsJsonResponse:
        """Append events given as JSON lines."""
        json_lines = request.json_lines  # copied at each access
        _check_size(len(json_lines), MAX_JSON_BYTES, "bytes", "json_lines")
        lines = json_lines.count(b"\n") + (not json_lines.endswith(b"\n"))
        _check_size(lines, MAX_ROWS, "lines", "json_lines")
        receipt = await self._send(request, lines, lambda: collect_lines(json_lines, self._clock()))
        return ingest_pb2.SendEventsJsonResponse(duplicates=receipt.duplicates, **self._outcome(receipt))

    async def UpsertCustomers(
        self, request: ingest_pb2.UpsertCustomersRequest, context: Context
    ) -> ingest_pb2.UpsertCustomersResponse:
        """Merge customer data into profiles."""
        _check_size(len(request.customers), MAX_CUSTOMERS, "customers", "customers")

        def check() -> Submission:
            self._allowance.take(len(request.customers))
            upserts, refused = [], []
            for index, customer in enumerate(request.customers):
                try:
                    upserts.append(check_upsert(customer.customer_id, scalars(customer.data)))
                except Refused as error:
                    refused.append(error.at(index))
            return Submission(
                upserts=upserts, rejected=refused, request=_request_key(request), size=request.ByteSize()
            )

        receipt = await self._append(check)
        return ingest_pb2.UpsertCustomersResponse(**self._outcome(receipt))

    async def GetCustomer(
        self, request: ingest_pb2.GetCustomerRequest, context: Context
    ) -> ingest_pb2.GetCustomerResponse:
        """Show one customer."""
        return await asyncio.to_thread(self._get_customer, request.customer_id)

    async def ListCustomerEvents(
        self, request: ingest_pb2.ListCustomerEventsRequest, context: Context
    ) -> ingest_pb2.ListCustomerEventsResponse:
        """List a customer's events, newest first."""
        limit = page_size(request.page_size)
        held = self._pages.find(request)
        if held:
            found, key, first = held
        else:
            found, first = await asyncio.to_thread(self._customer_events, request.customer_id), 0
            key = self._pages.keep(request, found) if len(found.rows) > limit else b""
        if self._engine.was_erased(found.number):
            raise _no_such_customer()
        stop = min(first + limit, len(found.rows))
        events = await asyncio.to_thread(self._engine.events, found.rows[first:stop])
        return ingest_pb2.ListCustomerEventsResponse(
            events=[_event(found.customer_id, event) for event in events],
            next_page_token=self._pages.token(key, stop) if stop < len(found.rows) else "",
            revision=found.revision,
        )

    async def DeleteCustomers(
        self, request: ingest_pb2.DeleteCustomersRequest, context: Context
    ) -> ingest_pb2.DeleteCustomersResponse:
        """Erase customers."""
        _check_size(len(request.customer_ids), MAX_CUSTOMERS, "customers", "customer_ids")
        receipt = await self._append(
            lambda: Submission(erase=read_erasure(request), request=_request_key(request))
        )
        revision = self._engine.revision_token(receipt.revision)
        return ingest_pb2.DeleteCustomersResponse(revision=revision, deleted=receipt.accepted)

    async def ListErasures(
        self, request: ingest_pb2.ListErasuresRequest, context: Context
    ) -> ingest_pb2.ListErasuresResponse:
        """List the erasures of which something is left somewhere, oldest first."""
        limit = page_size(request.page_size)
        held = self._erasures.find(request)
        if held:
            found, key, first = held
        else:
            found, first = await asyncio.to_thread(self._engine.erasures), 0
            self._waiting.keep({key for key, _ in found})
            key = self._erasures.keep(request, found) if len(found) > limit else b""
        stop = min(first + limit, len(found))
        token = self._engine.revision_token
        return ingest_pb2.ListErasuresResponse(
            erasures=[write_erasure(*each, self._waiting.of(each[0]), token) for each in found[first:stop]],
            next_page_token=self._erasures.token(key, stop) if stop < len(found) else "",
            awaits_compaction=request.with_compaction
            and await asyncio.to_thread(self._engine.wants_compaction),
        )

    async def ConfirmErasure(
        self, request: ingest_pb2.ConfirmErasureRequest, context: Context
    ) -> ingest_pb2.ConfirmErasureResponse:
        """Note that no destination holds an erased customer."""
        key = read_erasure_id(request)
        await asyncio.to_thread(self._engine.confirm_erasure, key, _request_key(request))
        await blocking.call(self._engine.settle_erasures)
        return ingest_pb2.ConfirmErasureResponse()

    async def ReportErasures(
        self, request: ingest_pb2.ReportErasuresRequest, context: Context
    ) -> ingest_pb2.ReportErasuresResponse:
        """Note what erasures wait for."""
        reports = read_reports(request)
        pending = await asyncio.to_thread(self._engine.pending_erasures, [key for key, _ in reports])
        self._waiting.note((report for report in reports if report[0] in pending), self._clock())
        return ingest_pb2.ReportErasuresResponse()

    async def GetCatalog(
        self, request: ingest_pb2.GetCatalogRequest, context: Context
    ) -> ingest_pb2.GetCatalogResponse:
        """List the event types and attributes there are."""
        return await asyncio.to_thread(write_catalog, self._engine, read_asked(request))

    async def _send_events(self, request: ingest_pb2.SendEventsRequest) -> ingest_pb2.SendEventsResponse:
        _check_size(len(request.events), MAX_EVENTS, "events", "events")
        sent = len(request.events)
        receipt = await self._send(request, sent, lambda: collect_events(request, self._clock()))
        return ingest_pb2.SendEventsResponse(duplicates=receipt.duplicates, **self._outcome(receipt))

    async def _send(self, request: Message, events: int, collect: Callable[[], Checked]) -> Receipt:
        """Check and append the events of a request, where its project may send so many now."""

        def check() -> Submission:
            key = _request_key(request)
            self._allowance.take(events)
            batch, refused = collect()
            return Submission(batch=batch, rejected=refused, request=key, size=request.ByteSize())

        return await self._append(check)

    async def _append(self, check: Callable[[], Submission]) -> Receipt:
        """Append what a request holds, checked in a thread so that the event loop goes on with others."""
        return await asyncio.wrap_future(self._engine.append(await asyncio.to_thread(check)))

    def _outcome(self, receipt: Receipt) -> dict[str, Any]:
        """Return the fields that every answer to a batch has."""
        rejected = [
            event_pb2.Rejection(index=each.index, field=each.field, reason=each.reason, message=each.message)
            for each in receipt.rejected
        ]
        revision = self._engine.revision_token(receipt.revision)
        return {"revision": revision, "accepted": receipt.accepted, "rejected": rejected}

    def _find(self, customer_id: str) -> tuple[int, Snapshot]:
        snapshot = self._engine.snapshot()
        customer = self._engine.customer(customer_id, snapshot)
        if customer is None:
            raise _no_such_customer()
        return customer, snapshot

    def _get_customer(self, customer_id: str) -> ingest_pb2.GetCustomerResponse:
        customer, snapshot = self._find(customer_id)
        times, _ = snapshot.rows_of(customer)
        has_profile = customer in snapshot.profiles.holders
        if not len(times) and not has_profile:
            raise _no_such_customer()
        response = ingest_pb2.GetCustomerResponse(
            customer=event_pb2.Customer(customer_id=customer_id),
            events=len(times),
            revision=self._engine.token(snapshot),
        )
        if has_profile:
            data = self._engine.profiles(snapshot, np.array([customer], np.uint32))[0]
            response.customer.data.CopyFrom(struct(data))
        if len(times):
            response.first_event_time.FromMilliseconds(int(times[-1]))
            response.last_event_time.FromMilliseconds(int(times[0]))
        return response

    def _customer_events(self, customer_id: str) -> CustomerEvents:
        customer, snapshot = self._find(customer_id)
        _, rows = snapshot.rows_of(customer)
        if not len(rows) and customer not in snapshot.profiles.holders:
            raise _no_such_customer()
        return CustomerEvents(customer_id, customer, rows, self._engine.token(snapshot))


def _request_key(request: Message) -> tuple[str, bytes] | None:
    request_id: str = getattr(request, "request_id", "")
    if not request_id:
        return None
    check_id(request_id)
    return request_id, fingerprint(request)


def _check_size(size: int, limit: int, what: str, field: str) -> None:
    if size > limit:
        raise Invalid(
            "BATCH_TOO_LARGE", f"{size} {what}, at most {limit} are taken at once; split them", field
        )


def _no_such_customer() -> Missing:
    return Missing(
        "CUSTOMER_NOT_FOUND", "there is no customer of this customer_id", "customer", field="customer_id"
    )


def _event(customer_id: str, event: LoggedEvent) -> event_pb2.Event:
    time = timestamp_pb2.Timestamp()
    time.FromMilliseconds(event.time)
    return event_pb2.Event(
        customer_id=customer_id,
        event_type=event.event_type,
        event_time=time,
        event_id=event.event_id,
        data=struct(event.data),
    )
