"""Does a data directory hold what was acknowledged, once, and nothing in halves? Compares it with the model.

Looks at the log itself and at everything that is derived from it: dictionaries, profiles, segments, the table of
profiles, and what rules answer, against an index made anew that reads no file.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from pyroaring import BitMap

from libs.clock import system_clock
from libs.engine import Engine
from libs.events import profile as profiles
from libs.events.block import NOBODY, Block
from libs.events.dictionary import Dictionary
from libs.events.log import EventLog, Position
from libs.events.sealing import PROFILES
from libs.index import condition
from libs.index.calendar import Calendar
from libs.index.condition import NumberRange, OneOf
from libs.index.evaluate import evaluate
from libs.index.index import Index
from libs.index.loading import rebuild
from libs.index.plan import EVER, Did
from libs.index.segment import Segment
from libs.index.snapshot import Snapshot
from libs.index.store import Entry
from libs.storage.master_key import Masters
from services.cohort.store import CohortStore
from tests.faults.load import BRANDS, TYPES, Client

NEVER_SEALED = 10**9
DAY = 86_400_000
NOW = 1_790_000_000_001


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many events and profiles were lost and doubled, and what else is wrong, in words."""

    lost: int
    doubled: int
    wrong: list[str]


def check(folder: Path, clients: Sequence[Client], data_dir: Path | None = None) -> Verdict:
    """Compare the log in a folder, which is changed by that, with what its clients know.

    The key of what is sealed is the one kept in `data_dir`.
    """
    log = EventLog(folder, masters=Masters(data_dir) if data_dir else None)
    engine = Engine(log, Calendar(ZoneInfo("UTC")), system_clock, writable=True, seal_rows=NEVER_SEALED)
    try:
        lost, doubled, wrong = _events(log, clients)
        gone, more = _profiles(log, clients)
        wrong += [*more, *_dictionaries(log), *_index(engine, log), *_erased(log, clients)]
    finally:
        engine.close()
    return Verdict(lost + gone, doubled, wrong)


def _blocks(log: EventLog) -> Iterator[Block]:
    for changes in log.changes(Position()):
        yield from changes.blocks


def check_cohorts(folder: Path, clients: Sequence[Client]) -> list[str]:
    """Compare the saved cohorts in a folder with what their clients know."""
    store = CohortStore(folder)
    try:
        there = {cohort.name for cohort in store.cohorts().values()}
    finally:
        store.close()
    wrong = []
    for client in clients:
        mine = {name for name in there if name.startswith(f"{client.name}-")}
        if mine not in (client.cohorts(client.acknowledged), client.cohorts(client.sent)):
            wrong.append(f"the saved cohorts of client {client.name} are {sorted(mine)}")
    return wrong


def numbers_there(log: EventLog) -> Counter[int]:
    """Return how often each event is there, by its number."""
    attribute = log.names.find("n")
    there: Counter[int] = Counter()
    for block in _blocks(log):
        for column in block.columns:
            if column.attribute == attribute:
                there.update(column.values.astype(np.int64).tolist())
    return there


def _events(log: EventLog, clients: Sequence[Client]) -> tuple[int, int, list[str]]:
    """Count events lost and doubled, and find requests of which a part is there."""
    there = numbers_there(log)
    doubled = sum(times - 1 for times in there.values())
    lost, wrong = 0, []
    for client in clients:
        for request in range(client.sent):
            numbers = client.numbers(request)
            found = sum(number in there for number in numbers)
            if request < client.acknowledged:
                lost += len(numbers) - found
            elif found not in (0, len(numbers)):
                wrong.append(f"{found} of {len(numbers)} events of a request that was not acknowledged")
            for number in (*numbers, client.number(request, 0)):
                there.pop(number, None)
    if there:
        wrong.append(f"{len(there)} events that nobody sent")
    return lost, doubled, wrong


def _profiles(log: EventLog, clients: Sequence[Client]) -> tuple[int, list[str]]:
    """Count profiles that are older than what was acknowledged, and find such as are half of two upserts."""
    lost, wrong = 0, []
    names = [log.names.find(name) for name in ("city", "score", "member")]
    table = log.environment[PROFILES]
    with log.environment.read() as txn:
        for client in clients:
            sure, possible = client.profiles(client.acknowledged), client.profiles(client.sent)
            for customer_id in possible:
                number = log.customers.find(customer_id)
                owners = np.array([] if number is None else [number], np.uint32)
                records = profiles.read(txn, table, owners, log.cover(PROFILES)).records
                if not records:
                    lost += customer_id in sure
                    continue
                city, score, member = names
                assert city is not None
                assert score is not None
                assert member is not None
                request = int(records[0].numbers[score])
                if request not in (sure.get(customer_id), possible[customer_id]):
                    lost += 1
                same = log.values[records[0].strings[city]] == f"town {request}"
                if not same or records[0].bools[member] is not (request % 2 == 1):
                    wrong.append("a profile is half of one upsert and half of another")
    return lost, wrong


def _dictionaries(log: EventLog) -> list[str]:
    """Find strings that stand twice, and numbers in the log that stand for no string."""
    wrong = []
    for table, dictionary in zip(("customers", "names", "values"), log.dictionaries, strict=True):
        fresh = Dictionary(log.environment[table], cover=dictionary.cover)
        with log.environment.read() as txn:
            fresh.load(txn)
        retired = dictionary._retired | fresh._retired
        kept = [number for number in range(len(fresh)) if number not in retired]
        strings = fresh.strings(kept)
        if len(set(strings)) < len(strings) or len(dictionary) != len(fresh):
            wrong.append(f"the dictionary of {table} has a string twice, or other strings on disk")
        if any(dictionary.find(string) != number for number, string in zip(kept, strings, strict=True)):
            wrong.append(f"the index of the dictionary of {table} does not find its strings")
    known = len(log.customers), len(log.names)
    for block in _blocks(log):
        there = block.customers[block.customers != NOBODY]
        if (there >= known[0]).any() or (block.event_types >= known[1]).any():
            wrong.append("a block has a number that stands for no string")
    return wrong


def _erased(log: EventLog, clients: Sequence[Client]) -> list[str]:
    """Find customers who are known though their erasure was acknowledged: nobody else brings their ids."""
    there = sum(
        log.customers.find(customer_id) is not None for client in clients for customer_id in client.erased()
    )
    return [f"{there} customers whose erasure was acknowledged"] if there else []


def questions() -> list[Did]:
    """Return behaviours that reach every part of an index."""
    brand = condition.Test("brand", OneOf(frozenset({BRANDS[0]})))
    dear = condition.Test("price", NumberRange(lower=4, lower_open=True))
    windows = [(EVER, NOW), (NOW - 60 * DAY, NOW - 20 * DAY)]
    return [
        Did(event_type, where, first, end, least)
        for event_type in TYPES
        for where in (None, brand, dear, condition.AllOf((brand, dear)))
        for first, end in windows
        for least in (1, 3)
    ]


def answers(snapshot: Snapshot) -> list[BitMap]:
    """Return the customers of every question."""
    return [evaluate(question, snapshot, NOW) for question in questions()]


def _index(engine: Engine, log: EventLog) -> list[str]:
    """Compare the index that a start makes of its files with one made of the log alone."""
    anew = Index(engine.calendar, log.names, log.values, log.customers, seal_rows=NEVER_SEALED)
    for changes in log.changes(Position()):
        anew.apply(changes)
    mine, theirs = engine.snapshot(), anew.snapshot()
    wrong = []
    known = answers(theirs)
    if answers(mine) != known:
        wrong.append("an index of files answers otherwise than one made anew")
    if (
        engine.wants_compaction()
    ):  # killed between the log's blanking and the files': masked until a start does this
        engine.compact()
        mine = engine.snapshot()
        if answers(mine) != known:
            wrong.append("an index answers otherwise behind a compaction")
    everybody = np.arange(len(log.customers), dtype=np.uint32)
    if mine.profiles.data(everybody, (), log.names, log.values) != theirs.profiles.data(
        everybody, (), log.names, log.values
    ):
        wrong.append("the table of profiles is not that of the log")
    segments = [part for parts in mine.parts.values() for part in parts if isinstance(part, Segment)]
    damaged = [segment.name for segment in segments if not same_segment(segment, engine, log)]
    return [*wrong, *(f"segment {name} is not what the log makes" for name in damaged)]


def same_segment(segment: Segment, engine: Engine, log: EventLog) -> bool:
    """Say whether a segment is, array for array, what the log gives; the order of its columns says nothing."""
    made = rebuild(Entry(segment.name, segment.event_type, *segment.head.log_rows), log, engine.calendar)
    heads = [
        msgspec.structs.replace(head, columns=sorted(head.columns, key=str), keys=sorted(head.keys, key=str))
        for head in (made.head, segment.head)
    ]
    return heads[0] == heads[1] and all(
        np.array_equal(made.arrays[name], array, equal_nan=array.dtype.kind == "f")
        for name, array in segment.arrays.items()
    )
