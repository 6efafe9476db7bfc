"""How are batches sent? A few at a time, each under its own request id, so that a retry doubles nothing."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import grpc
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from libs.cli.errors import is_unreachable
from libs.cli.importing.encode import Batch
from libs.cli.importing.table import Reject
from libs.rpc.errors import Failure

IN_FLIGHT = 4
"""Batches under way at once: enough to keep the server busy while the next are made."""
TRANSIENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
PATIENCE_SECONDS = 60.0
"""How long one batch is retried: a restart takes less."""
LONGEST_PAUSE_SECONDS = 5.0
SHOWN_REJECTS = 10


@dataclass(slots=True)
class Tally:
    """What has become of the rows so far."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Rejected rows by reason."""
    first_rejects: list[Reject] = field(default_factory=list)
    revision: str = ""

    @property
    def rows(self) -> int:
        """How many rows have an outcome."""
        return self.accepted + self.duplicates + self.rejected

    def take(self, response: Any) -> None:
        """Count what the server kept."""
        self.accepted += response.accepted
        self.duplicates += getattr(response, "duplicates", 0)
        self.revision = response.revision

    def reject(self, rejects: Iterable[Reject]) -> None:
        """Count rejected rows."""
        for one in rejects:
            self.rejected += 1
            self.reasons[one.reason] += 1
            if len(self.first_rejects) < SHOWN_REJECTS:
                self.first_rejects.append(one)


class Sender:
    """Sends batches through one unary method and tallies the outcomes, in the batches' order."""

    def __init__(
        self,
        method: Any,
        *,
        in_flight: int = IN_FLIGHT,
        on_batch: Callable[[Tally, list[Reject]], None] = lambda tally, rejects: None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._method = method
        self._in_flight = in_flight
        self.on_batch = on_batch
        self._patience = patience
        self._run = uuid4().hex
        self.tally = Tally()

    def send(self, batches: Iterable[Batch]) -> Tally:
        """Send every batch. Raises grpc.RpcError where one fails for good."""
        under_way: deque[tuple[Batch, Any]] = deque()
        try:
            for number, batch in enumerate(batches):
                call = None
                if batch.rows:
                    batch.request.request_id = f"import-{self._run}-{number}"
                    call = self._method.future(batch.request)
                under_way.append((batch, call))
                while len(under_way) >= self._in_flight:
                    self._finish(*under_way.popleft())
            while under_way:
                self._finish(*under_way.popleft())
        finally:
            for _, call in under_way:
                if call is not None:
                    call.cancel()
        return self.tally

    def _finish(self, batch: Batch, call: Any) -> None:
        rejects = batch.rejects
        if call is not None:
            response = self._result(batch, call)
            self.tally.take(response)
            rejects = rejects + [
                Reject(batch.rows[one.index], one.field, one.reason, one.message) for one in response.rejected
            ]
            rejects.sort(key=lambda one: one.row)
        self.tally.reject(rejects)
        self.on_batch(self.tally, rejects)

    def _result(self, batch: Batch, call: Any) -> Any:
        try:
            return call.result()
        except grpc.RpcError as error:
            if not _is_transient(error) or self._never_answered(error):
                raise
        retrying = Retrying(
            retry=retry_if_exception(_is_transient),
            wait=wait_random_exponential(multiplier=0.1, max=LONGEST_PAUSE_SECONDS),
            stop=stop_after_delay(self._patience),
            reraise=True,
        )
        return retrying(self._method, batch.request)

    def _never_answered(self, error: grpc.RpcError) -> bool:
        """Say whether there is no server at all, rather than one that has gone for a moment."""
        return not self.tally.revision and is_unreachable(Failure.of(error))


def _is_transient(error: BaseException) -> bool:
    """Say whether to try again. RESOURCE_EXHAUSTED without a reason is grpc's own: a message that is too large."""
    if not isinstance(error, grpc.RpcError):
        return False
    failure = Failure.of(error)
    return failure.code in TRANSIENT and (bool(failure.reason) or is_unreachable(failure))
