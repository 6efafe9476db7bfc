"""Where can a test make this process fail? Named steps of what is written, each a place to die or to err at.

`hit` stands at each step of `POINTS` and does nothing unless the step is armed. Armed it is by the environment:

    COHORT_FAILPOINTS="block=kill@3;manifest=full*2"

step=action, `@n` from the n-th time on it is reached (1), `*n` so many times (1). Actions: `kill` (SIGKILL, as
sudden as it gets), `error` (OSError, EIO), `full` (OSError, ENOSPC), `pause:SECONDS`. Only a test build listens:
one that has the tests beside the source. The image and a wheel have none, so there the variable means nothing.
Not armed, a step costs a call and one look at an empty dict: some 60 ns, and a commit has seven.
"""

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "COHORT_FAILPOINTS"
TESTS = Path(__file__).parents[1] / "tests" / "faults"
"""What a test build has and what is shipped has not."""

POINTS: Mapping[str, str] = {
    "dictionary": "new strings of a commit are in its transaction",
    "profile": "merged profiles are in it",
    "erasure": "erasures are in it",
    "block": "the block and the log's new end are in it",
    "request": "request ids are in it",
    "commit": "all is in the transaction, which has not been committed",
    "committed": "the commit is on disk, and nothing in memory knows",
    "answer": "memory has followed, and nobody has been answered",
    "dedupe.run": "a run of event ids is a file that no manifest names",
    "dedupe.named": "the manifest names it, and files of old runs are still there",
    "strings": "the hashes of a dictionary are about to be written",
    "profiles": "the table of profiles is about to be written",
    "seal": "tails are frozen and about to be sealed",
    "segment": "a sealed segment is a file, and not in use yet",
    "sealed": "sealed segments are in use, and no manifest names them",
    "merge.process": "the merging process has merged, and written nothing",
    "merge": "a merged segment is a file, and not in use yet",
    "merged": "it is in use, and the manifest names those it was made of",
    "manifest": "a manifest of segments is about to be written",
    "manifest.named": "it is on disk, and files that it no longer names are still there",
    "file.half": "half of a file of arrays is written",
    "file.whole": "all of it is on disk under its temporary name",
    "file.named": "it has its name",
    "compact.blank": "blanked blocks of erased customers' events are in their transaction",
    "compact.blanked": "all are blanked, and the files beside the log still have them",
    "compact.purged": "the files beside the log have nothing of them",
    "compact.strings": "the strings that nobody else uses go with this transaction",
    "compact.removed": "the note that erased customers are to be masked goes with this transaction",
    "wipe.renewed": "tables whose branch pages held keys that were deleted are written anew",
    "wipe": "what an environment's file does not use is about to be overwritten",
    "wipe.some": "a part of it is overwritten",
    "wiped": "all is overwritten, and still noted as to do",
    "encrypt": "profiles and values that were not sealed, or by another key, are sealed in a transaction",
    "cohort": "a change of saved cohorts is in its transaction",
    "delivered": "what a destination has acknowledged is in its transaction",
    "delivered.committed": "a transaction of sync is on disk, and nothing in memory knows",
}


@dataclass(slots=True)
class _Armed:
    act: Callable[[str], None]
    first: int
    times: int
    seen: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reach(self, name: str) -> None:
        with self.lock:
            self.seen += 1
            due = self.first <= self.seen < self.first + self.times
        if due:
            self.act(name)


_armed: dict[str, _Armed] = {}


def hit(name: str) -> None:
    """Do at a step what it is armed with. Raises OSError where that is an error."""
    if _armed and (armed := _armed.get(name)):
        armed.reach(name)


def arm(text: str) -> None:
    """Arm the steps that a text names, and no others. Raises ValueError for what it cannot read."""
    _armed.clear()
    for part in filter(None, text.split(";")):
        name, _, what = part.partition("=")
        if name not in POINTS:
            raise ValueError(f"{VARIABLE}: there is no step {name!r}; there are {', '.join(POINTS)}")
        what, _, times = what.partition("*")
        what, _, first = what.partition("@")
        _armed[name] = _Armed(_action(what), int(first or 1), int(times or 1))


def _action(what: str) -> Callable[[str], None]:
    kind, _, seconds = what.partition(":")
    if kind == "pause":
        pause = float(seconds)
        return lambda _: time.sleep(pause)
    if kind not in _ACTIONS:
        raise ValueError(f"{VARIABLE}: an action is kill, error, full or pause:SECONDS, not {what!r}")
    return _ACTIONS[kind]


def _kill(name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _error(name: str) -> None:
    raise OSError(errno.EIO, f"{os.strerror(errno.EIO)} (failpoint {name})")


def _full(name: str) -> None:
    raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} (failpoint {name})")


_ACTIONS: dict[str, Callable[[str], None]] = {"kill": _kill, "error": _error, "full": _full}

if TESTS.is_dir():
    arm(os.environ.get(VARIABLE, ""))
