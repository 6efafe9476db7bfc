"""In which world are rules and calls asked? A small one on disk, the same every time, with every kind of value."""

import asyncio
import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from google.protobuf import json_format

from libs.engine import Engine
from libs.events.log import EventLog
from libs.gen.cohort.v1 import cohort_pb2, ingest_pb2
from libs.index.calendar import Calendar
from services.cohort.servicer import CohortServicer
from services.cohort.store import CohortStore
from services.ingest.servicer import IngestServicer

NOW = 1_767_225_600_000
"""2026-01-01T00:00:00Z, in ms."""
MEMORY = Path("/dev/shm")
"""Where a world is best, if it is there: nothing is to outlive the program."""
RULES: list[dict[str, Any]] = [
    {"all": {}},
    {
        "did": {
            "eventType": "purchase",
            "when": {"last": {"amount": 30, "unit": "DAY"}},
            "count": {"op": "AT_LEAST", "value": 2},
        }
    },
    {
        "all": {
            "rules": [
                {
                    "did": {
                        "eventType": "view",
                        "where": {"test": {"attribute": "brand", "op": "IN", "values": ["a", "b"]}},
                    }
                },
                {
                    "not": {
                        "rule": {
                            "profile": {
                                "where": {"test": {"attribute": "city", "op": "CONTAINS", "values": ["un"]}}
                            }
                        }
                    }
                },
            ]
        }
    },
    {
        "any": {
            "rules": [{"cohort": {"cohortId": "coh_1"}}, {"did": {"eventType": "view", "firstTime": True}}]
        }
    },
    {
        "sequence": {
            "steps": [{"eventType": "view"}, {"eventType": "purchase"}],
            "within": {"amount": 2, "unit": "DAY"},
        }
    },
    {
        "did": {
            "eventType": "purchase",
            "aggregate": {"function": "SUM", "attribute": "price", "op": "AT_LEAST", "value": 10},
            "where": {
                "test": {"attribute": "brand", "op": "MATCHES", "values": ["^(a|b)+$"], "ignoreCase": True}
            },
        }
    },
]


def events(number: int = 300) -> list[dict[str, Any]]:
    """Return events in JSON form."""
    made = []
    for place in range(number):
        data: dict[str, Any] = {"brand": "abc"[place % 3], "price": place * 1.5, "vip": place % 2 == 0}
        if place % 7 == 0:
            data = {"brand": place * 1.0}
        day = 1 + place % 28
        made.append(
            {
                "customerId": f"c{place % 23}",
                "eventType": ("view", "purchase", "login")[place % 3],
                "eventTime": f"2025-12-{day:02}T{place % 24:02}:00:00Z",
                "eventId": f"e{place}",
                "data": data,
            }
        )
    return made


class World:
    """An engine with events, profiles and saved cohorts, and the servicers over it."""

    def __init__(self) -> None:
        parent = MEMORY if MEMORY.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="cohort-fuzz-", dir=parent))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.engine = Engine(
            EventLog(self.folder / "log"),
            Calendar(ZoneInfo("Europe/Berlin")),
            clock,
            writable=True,
            seal_rows=128,
        )
        self.store = CohortStore(self.folder / "saved")
        self.ingest = IngestServicer(self.engine, clock)
        self.cohort = CohortServicer(self.engine, self.store, clock)
        self.loop = asyncio.new_event_loop()
        asyncio.to_thread = inline  # type: ignore[assignment]
        sent = json_format.ParseDict({"events": events()}, ingest_pb2.SendEventsRequest())
        self.wait(self.ingest.SendEvents(sent, None))
        people = [
            {"customerId": f"c{n}", "data": {"city": "Pune", "age": n, "dob": "1990-01-31"}} for n in range(9)
        ]
        self.wait(
            self.ingest.UpsertCustomers(
                json_format.ParseDict({"customers": people}, ingest_pb2.UpsertCustomersRequest()), None
            )
        )
        self.cohort_id = self.save(name="one", rule=RULES[1])
        self.static_id = self.save(name="two", static=True, customer_ids=["c1", "c2"])

    def save(self, **cohort: Any) -> str:
        """Save a cohort; return its id."""
        request = json_format.ParseDict({"cohort": cohort}, cohort_pb2.CreateCohortRequest())
        saved: str = self.wait(self.cohort.CreateCohort(request, None)).cohort.cohort_id
        return saved

    def wait(self, call: Any) -> Any:
        """Return what a call answers."""
        return self.loop.run_until_complete(call)

    def listed(self, stream: Any, most: int = 3) -> list[Any]:
        """Return the first messages of a stream."""

        async def collect() -> list[Any]:
            found = []
            try:
                async for message in stream:
                    found.append(message)
                    if len(found) == most:
                        break
            finally:
                await stream.aclose()
            return found

        messages: list[Any] = self.wait(collect())
        return messages


def clock() -> int:
    """Return an instant that stands still."""
    return NOW


async def inline(work: Any, *arguments: Any, **named: Any) -> Any:
    """Do in place what is else done in a thread: one fault at a time, and coverage of it."""
    return work(*arguments, **named)
