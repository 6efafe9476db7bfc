"""Files that `cohort import` reads: as far as the requests it would send."""

import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from libs.cli.errors import Failed
from libs.cli.importing import forms, json_file
from libs.cli.importing.csv_file import CsvFile
from libs.cli.importing.encode import Encoder, fitting
from libs.cli.importing.mapping import propose
from libs.cli.importing.table import Source
from tests.fuzz.targets import Target
from tests.fuzz.targets.worlds import MEMORY, events

CHUNK = 16
HEADER = "customer_id,event_type,event_time,price,brand"


def _file() -> Path:
    parent = MEMORY if MEMORY.is_dir() else None
    return Path(tempfile.mkdtemp(prefix="cohort-fuzz-", dir=parent)) / "file"


def _encode(source: Source) -> None:
    columns = propose(source.columns, {})
    encoder = Encoder(columns, dict(source.kinds), "digest", ZoneInfo("Europe/Berlin"), frozenset())
    for batch in fitting(encoder.events, source.chunks(CHUNK)):
        assert len(batch.request.customer_ids) == len(batch.rows)
        batch.request.SerializeToString()


def _reading(read: Callable[[Path], None]) -> Callable[[bytes], None]:
    path = _file()

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(Failed):
            read(path)

    return run


def csv_files() -> Target:
    """CSV and TSV."""

    def read(path: Path) -> None:
        _encode(CsvFile(path, ","))

    return Target(
        _reading(read),
        [
            f'{HEADER}\na,view,2026-01-01,1.5,x\nb,buy,1767225600000,,"y,z"\n'.encode(),
            f"\ufeff{HEADER}\r\na,view,2026-01-01T00:00:00Z,NaN,x\r\n\r\n".encode(),
            f"{HEADER}\na,view,1e5,0x1,\xff\n".encode("latin-1"),
        ],
    )


def json_files() -> Target:
    """JSON lines, flat and in the contract's own forms."""

    def read(path: Path) -> None:
        if json_file.is_event_form(path):
            for batch in forms.event_batches(path, "digest"):
                batch.request.SerializeToString()
        elif json_file.is_customer_form(path):
            for batch in forms.customer_batches(path, CHUNK):
                batch.request.SerializeToString()
        else:
            _encode(json_file.JsonFile(path))

    flat = [{"customer_id": "a", "event_type": "view", "event_time": "2026-01-01", "price": 1, "x": None}]
    people = [{"customerId": "a", "data": {"city": "Pune", "age": 3}}]
    return Target(
        _reading(read),
        [b"\n".join(json.dumps(each).encode() for each in made) for made in (events(4), flat * 2, people)],
    )


def parquet_files() -> Target:
    """Parquet: read by pyarrow, in C++."""
    import pyarrow
    import pyarrow.parquet

    from libs.cli.importing.parquet_file import ParquetFile

    def read(path: Path) -> None:
        _encode(ParquetFile(path))

    path = _file()
    seeds = []
    for compression in ("none", "snappy"):
        table = pyarrow.table(
            {
                "customer_id": ["a", "b"],
                "event_type": ["v", "w"],
                "event_time": [1_767_225_600_000, None],
                "p": [1.5, None],
            }
        )
        pyarrow.parquet.write_table(table, path, compression=compression)
        seeds.append(path.read_bytes())
    return Target(_reading(read), seeds)
