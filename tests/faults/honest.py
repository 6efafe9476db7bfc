"""What does an honest client see of a flood? It sends and asks, over and over, and notes how it was answered."""

import threading
import time
from typing import Any

import grpc

from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc, ingest_pb2, ingest_pb2_grpc
from libs.rpc import MESSAGE_OPTIONS
from libs.rpc.errors import Failure

HONEST_SECONDS = 0.05
CUSTOMERS = 20_000
EVERYBODY = {"all": {}}


def channel(target: str) -> grpc.Channel:
    """Open a connection of its own."""
    return grpc.insecure_channel(target, options=[*MESSAGE_OPTIONS, ("grpc.use_local_subchannel_pool", 1)])


class Honest(threading.Thread):
    """A client that goes about its work: an event and a Run that is to count it, again and again."""

    def __init__(self, target: str) -> None:
        super().__init__(daemon=True)
        self._channel = grpc.insecure_channel(target, options=MESSAGE_OPTIONS)
        self._ingest: Any = ingest_pb2_grpc.IngestServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._cohort: Any = cohort_pb2_grpc.CohortServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._over = threading.Event()
        self.answered, self.failed, self.wrong, self.slowest = 0, 0, 0, 0.0
        self.errors: set[str] = set()

    def run(self) -> None:
        """Work until told to stop."""
        number, sent = 0, set()
        while not self._over.wait(HONEST_SECONDS):
            number += 1
            began = time.monotonic()
            event = {"customer_id": f"honest-{number % 100}", "event_type": "visit", "event_id": str(number)}
            try:
                self._ingest.SendEvents(ingest_pb2.SendEventsRequest(events=[event]), timeout=60)
                sent.add(event["customer_id"])
                run = cohort_pb2.RunRuleRequest(rule=EVERYBODY, count_only=True)
                size = self._cohort.RunRule(run, timeout=60).size
            except grpc.RpcError as error:
                self.failed += 1
                self.errors.add(str(Failure.of(error).reason or Failure.of(error).code))
            else:
                self.answered += 1
                self.wrong += not CUSTOMERS + len(sent) <= size <= CUSTOMERS + 100
            self.slowest = max(self.slowest, time.monotonic() - began)

    def finish(self) -> None:
        """Stop, and hang up."""
        self._over.set()
        self.join()
        self._channel.close()
