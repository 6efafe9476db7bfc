"""How does an event leave the log? Its row is blanked where it stands, in the block that was committed.

Rows, revisions and the places of blocks stay, so no reader loses its position. What is left of a row is that there
was one. Crash-safe at every step: a block is blanked in one transaction or not, and blanking again changes nothing.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from libs import failpoints
from libs.events import block as blocks
from libs.events.block import NOBODY, Block, BlockColumn
from libs.events.log import EventLog

BYTES_AT_ONCE = 16 << 20
"""Blocks rewritten in one transaction: commits wait for it some tens of milliseconds."""


def blanked(block: Block, places: NDArray[np.int64]) -> Block:
    """Return a block without the events at some places, (n,): nobody's, of no time, without ids and values."""
    kept = np.ones(block.rows, np.bool_)
    kept[places] = False
    columns = []
    for column in block.columns:
        rows = np.arange(block.rows, dtype=np.uint32) if column.rows is None else column.rows
        mine = kept[rows]
        if mine.any():
            columns.append(BlockColumn(column.attribute, column.kind, column.values[mine], rows[mine]))
    id_ends, event_ids = block.id_ends, block.event_ids
    if len(id_ends):
        ids = [
            text if there else "" for text, there in zip(block.all_event_ids(), kept.tolist(), strict=True)
        ]
        id_ends, event_ids = blocks.join_ids(ids)
    return replace(
        block,
        customers=np.where(kept, block.customers, NOBODY),
        event_types=np.where(kept, block.event_types, np.uint32(0)),
        times=np.where(kept, block.times, np.int64(0)),
        id_ends=id_ends,
        event_ids=event_ids,
        columns=tuple(columns),
    )


def blank(log: EventLog, rows: NDArray[np.int64]) -> int:
    """Blank log rows, ascending, in transactions of some blocks each; return how many there were to blank.

    Raises `Overloaded` on a full disk, `DamagedLogError`: what was blanked until then stays so.
    """
    done = start = 0
    while start < len(rows):
        size = 0
        with log.environment.write() as txn:
            for found, places in log.blocks_of(rows[start:], txn):
                start += len(places)
                there = places[found.customers[places] != NOBODY]
                if len(there):
                    data = blocks.encode(blanked(found, there))
                    log.replace(txn, found, data)
                    done += len(there)
                    size += len(data)
                if size >= BYTES_AT_ONCE:
                    break
            log.environment.mark_erased(txn)
            failpoints.hit("compact.blank")
    return done
