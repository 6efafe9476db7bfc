"""Which rows of an upload were refused? From what Meta answers, and by trying again where that is not enough.

Meta says how many rows were invalid and shows samples. Where the samples name exactly as many, they are
believed. Otherwise the rows are halved and sent again, which does no harm, until it is clear which: that costs
about 2·k·log2(n / k) calls for k bad rows of n. Past a number of calls, what is not clear yet is taken off
again and reported as refused for now, so that the audience never holds anybody who is not noted.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.sync.destinations.base import Passing

MOST_PROBES = 64
"""Calls spent on telling rows apart, a batch; a development account has some 5,000 an hour for everything."""
LEAST_SAMPLE = 3
"""A shorter value could be anything."""

Row = list[object]
Send = Callable[[Sequence[Row]], Awaitable[Mapping[str, Any]]]


@dataclass(slots=True)
class Outcome:
    """The places of rows that were refused, and of those that were taken off as nobody knows."""

    refused: set[int] = field(default_factory=set)
    unclear: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Tally:
    """What a session has been told so far: rows sent and rows refused, in its earlier batches."""

    sent: int = 0
    invalid: int = 0


def invalid_count(answer: Mapping[str, Any], sent: int, earlier: Tally) -> int | None:
    """Return how many rows were refused; None where the answer may count others too.

    Those are the batches before, or this one where it was sent before and the answer was lost. Meta documents
    `num_received` as that of the session so far, and is seen to give that of the batch. Raises `Passing` where
    the answer does not account for all rows.
    """
    received, invalid = answer.get("num_received"), answer.get("num_invalid_entries", 0)
    if not isinstance(received, int) or not isinstance(invalid, int) or invalid < 0:
        raise Passing("Meta did not say what became of the rows")
    if received < sent:
        raise Passing(f"Meta received {received} of {sent} rows")
    whole_session = received == earlier.sent + sent and not earlier.invalid
    if received == sent or whole_session:
        return min(invalid, sent)
    return None if invalid else 0


async def reconcile(
    rows: Sequence[Row], answer: Mapping[str, Any], earlier: Tally, again: Send, undo: Send
) -> Outcome:
    """Return which rows an upload's answer refuses. `again` sends some of them again, `undo` takes that back.

    Both do so in sessions of their own.
    """
    outcome = Outcome()
    count = invalid_count(answer, len(rows), earlier)
    if count is None:
        count = await _count(again, rows)
    if not count:
        return outcome
    places = sampled(rows, answer.get("invalid_entry_samples"))
    if len(places) == count:
        outcome.refused = places
        return outcome
    probes = 0
    waiting = [(range(len(rows)), count)]
    while waiting:
        span, bad = waiting.pop()
        if bad == len(span):
            outcome.refused.update(span)
        elif bad and probes >= MOST_PROBES:
            outcome.unclear.update(span)
        elif bad:
            probes += 1
            half = span[: len(span) // 2]
            found = min(bad, await _count(again, [rows[place] for place in half]))
            waiting += [(half, found), (span[len(half) :], bad - found)]
    if outcome.unclear:
        await undo([rows[place] for place in sorted(outcome.unclear)])
    return outcome


async def _count(again: Send, rows: Sequence[Row]) -> int:
    return invalid_count(await again(rows), len(rows), Tally()) or 0


def sampled(rows: Sequence[Row], samples: object) -> set[int]:
    """Return the places of the rows that samples show, in whatever form: by any value that a row has."""
    shown = {text.lower() for text in _texts(samples) if len(text) >= LEAST_SAMPLE}
    if not shown:
        return set()
    return {
        place
        for place, row in enumerate(rows)
        if any(isinstance(cell, str) and cell.lower() in shown for cell in row)
    }


def _texts(samples: object) -> Iterator[str]:
    """Yield every text in a JSON value, keys included."""
    if isinstance(samples, str):
        yield samples
    elif isinstance(samples, Mapping):
        for key, value in samples.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(samples, Sequence):
        for value in samples:
            yield from _texts(value)
