"""How does a request get into the log? One thread that commits for all who wait: group commit.

Guarantees: `submit` returns a future that is done only after the fsync; requests that wait together share one
transaction, in the order they came. The queue is bounded: past it, `Overloaded`.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future

from libs.clock import Clock
from libs.errors import Fault, Invalid, Overloaded, Unavailable
from libs.events.commit import Committer, Receipt, Submission
from libs.events.intake import Intake
from libs.events.log import EventLog

MAX_WAITING_ITEMS = 1_000_000
"""Events and customers that may wait for a commit: a few hundred MB."""
MAX_WAITING_BYTES = 256 << 20
"""Bytes of requests that may wait for a commit, as they came; columns take about as much again."""
MAX_COMMIT_ITEMS = 200_000
"""Past this many a commit takes no further request, so that nobody waits long for others."""
MAX_NAMES = 10_000
"""Event types and attributes of a project: each costs a column in memory and in files, whoever has it."""
DEDUPE_WINDOW_MS = 7 * 24 * 3600 * 1000


class Writer:
    """The one thread that writes a log. `committed` is called, in that thread, after each commit.

    At most `most_waiting` bytes of requests wait, or one request that is larger. There are at most `most_names`
    event types and attributes, give or take what requests at the same time bring.
    """

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        *,
        dedupe_window: int = DEDUPE_WINDOW_MS,
        most_waiting: int = MAX_WAITING_BYTES,
        most_names: int = MAX_NAMES,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._committed = committed
        self._log = log
        self._trouble = ""
        self._committer = Committer(log, dedupe_window, clock())
        self._queue: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._held: Submission | None = None
        self._waiting = 0
        self._waiting_bytes, self._most_waiting = 0, most_waiting
        self._most_names = most_names
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def intake(self) -> Intake:
        """What was taken in since this began."""
        return self._committer.intake

    @property
    def waiting(self) -> int:
        """How many events and customers wait to be written, or are being written."""
        return self._waiting

    @property
    def trouble(self) -> str:
        """Why the last commit was not written, for want of room or of a healthy disk; "" where it was."""
        return self._trouble if self._thread.is_alive() else "the thread that writes the log has ended"

    def probe(self) -> None:
        """Write and delete something, so that trouble that has passed is known to have. Raises as commits do."""
        self._log.environment.probe()
        self._trouble = ""

    def submit(self, submission: Submission) -> Future[Receipt]:
        """Queue a request. The future's receipt means it is on disk.

        Raises `Overloaded`, `Unavailable`, and `Refused` where it brings too many event types and attributes.
        """
        self._log.check_names(submission.names(), self._most_names)
        with self._lock:
            if self._closed:
                raise Unavailable("SHUTTING_DOWN", "the server is shutting down; send again")
            items, size = self._waiting + submission.items, self._waiting_bytes + submission.size
            if self._waiting and (items > MAX_WAITING_ITEMS or size > self._most_waiting):
                raise Overloaded("TOO_MANY_WAITING", "too many events wait to be written; send again later")
            self._waiting, self._waiting_bytes = items, size
            self._queue.put(submission)
        return submission.receipt

    def do(self, task: Callable[[Committer], None]) -> None:
        """Have something done between two commits, and wait for it. Raises what it raises, and `Unavailable`."""
        self.submit(Submission(task=lambda: task(self._committer))).result()

    def close(self) -> None:
        """Commit what waits, then end the thread."""
        with self._lock:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._committer.close(self._clock())

    def _run(self) -> None:
        while (first := self._held or self._queue.get()) is not None:
            self._held = None
            group = self._collect(first)
            self._answer([each for each in group if each.receipt.set_running_or_notify_cancel()])
            with self._lock:
                self._waiting -= sum(submission.items for submission in group)
                self._waiting_bytes -= sum(submission.size for submission in group)

    def _collect(self, first: Submission) -> list[Submission]:
        """Take what waits behind `first`, up to a commit's worth or the second use of a request id.

        An erasure is alone: what was sent before it is of the old customer, what comes behind it of a new one.
        """
        group, items = [first], first.items
        if first.is_alone:
            return group
        ids = {first.request and first.request[0]}
        while items < MAX_COMMIT_ITEMS:
            try:
                submission = self._queue.get_nowait()
            except queue.Empty:
                break
            if submission is None:
                self._queue.put(None)  # it stays the last: nothing is queued once closed
                break
            if submission.is_alone:
                self._held = submission
                break
            if submission.request:
                if submission.request[0] in ids:
                    self._held = submission
                    break
                ids.add(submission.request[0])
            group.append(submission)
            items += submission.items
        return group

    def _answer(self, group: list[Submission]) -> None:
        if not group:
            return
        if (task := group[0].task) is not None:
            try:
                task()
            except Exception as error:
                group[0].receipt.set_exception(error)
            else:
                group[0].receipt.set_result(Receipt(0, 0))
            return
        try:
            receipts = self._committer.commit(group, self._clock())
        except Exception as error:
            if len(group) > 1:  # what one request cannot have is no reason to fail the others
                for submission in group:
                    self._answer([submission])
            else:
                self._trouble = _trouble(error)
                group[0].receipt.set_exception(error)
            return
        self._trouble = ""
        self._committed()
        for submission, receipt in zip(group, receipts, strict=True):
            if isinstance(receipt, Invalid):
                submission.receipt.set_exception(receipt)
            else:
                submission.receipt.set_result(receipt)


def _trouble(error: Exception) -> str:
    """Say what an error means for those who would write next; "" where it is the request's own."""
    if isinstance(error, Overloaded):
        return error.message
    return "" if isinstance(error, Fault) else f"the log cannot be written ({type(error).__name__})"
