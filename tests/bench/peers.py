"""Who else answers? DuckDB, Polars and ClickHouse (chdb) in this process, on the same events, in their best form.

Each is given the distinct events as one Parquet file, sorts them by (event, day, customer) and keeps strings
as enumerations. `ids` returns the customers of a rule; `count`, which is what is timed, only how many.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tests.bench import sql
from tests.bench.world import DAY_MS, EVENT_TYPES, STRINGS, World

PROFILE = ("city", "country", "gender")


class Peer(Protocol):
    """One engine beside Cohort."""

    name: str

    def ids(self, rule: dict[str, Any]) -> NDArray[np.int64]:
        """Return the customers of a rule, ascending."""

    def count(self, rule: dict[str, Any]) -> int:
        """Return how many customers a rule has."""

    def close(self) -> None:
        """Give its memory back."""


def write_files(world: World, folder: Path) -> None:
    """Write events.parquet, profiles.parquet and everybody.parquet."""
    kinds = {name: pl.Enum(world.vocabulary[name].tolist()) for name in (*STRINGS, *PROFILE)}

    def strings(name: str, codes: NDArray[np.uint32]) -> pl.Series:
        return pl.Series(name, codes).cat.to(kinds[name])

    events = pl.DataFrame(
        {
            "customer": world.customer,
            "event": pl.Series(world.event.astype(np.uint32)).cat.to(pl.Enum(EVENT_TYPES)),
            "day": (world.time // DAY_MS).astype(np.int32),
            "time": world.time,
            **{name: strings(name, world.codes[name]) for name in STRINGS},
            "price": world.price,
            "quantity": world.quantity,
        }
    )
    events.sort("event", "day", "customer").write_parquet(folder / "events.parquet")
    holders = world.profiled
    table = {name: strings(name, world.profiles[name][holders]) for name in PROFILE}
    pl.DataFrame({"customer": holders.astype(np.uint32), **table}).write_parquet(folder / "profiles.parquet")
    pl.DataFrame({"customer": world.everybody.astype(np.uint32)}).write_parquet(folder / "everybody.parquet")


class DuckDB:
    """DuckDB: SELECT DISTINCT, IN and NOT IN on a sorted table of ENUMs."""

    name = "duckdb"

    def __init__(self, world: World, folder: Path) -> None:
        self._connection = duckdb.connect()
        run = self._connection.execute
        for name in (*STRINGS, *PROFILE):
            values = ", ".join(sql.literal(value) for value in world.vocabulary[name].tolist())
            run(f'CREATE TYPE "{name}" AS ENUM ({values})')
        run(f"CREATE TYPE event AS ENUM ({', '.join(sql.literal(each) for each in EVENT_TYPES)})")
        casts = ", ".join(f'"{name}"::"{name}" AS "{name}"' for name in STRINGS)
        run(
            f"CREATE TABLE events AS SELECT customer, event::VARCHAR::event AS event, day, time, {casts}, "
            f"price, quantity FROM '{folder}/events.parquet' ORDER BY event, day, customer"
        )
        casts = ", ".join(f'"{name}"::"{name}" AS "{name}"' for name in PROFILE)
        run(f"CREATE TABLE profiles AS SELECT customer, {casts} FROM '{folder}/profiles.parquet'")
        run(f"CREATE TABLE everybody AS FROM '{folder}/everybody.parquet'")

    def ids(self, rule: dict[str, Any]) -> NDArray[np.int64]:
        found = self._connection.execute(sql.duckdb(rule)).fetchnumpy()["customer"]
        return np.sort(np.asarray(found).astype(np.int64))

    def count(self, rule: dict[str, Any]) -> int:
        [[found]] = self._connection.execute(f"SELECT count(*) FROM ({sql.duckdb(rule)})").fetchall()
        return int(found)

    def close(self) -> None:
        self._connection.close()


class ClickHouse:
    """ClickHouse through chdb: bitmaps of customers on a MergeTree ordered by (event, day, customer)."""

    name = "clickhouse"

    def __init__(self, world: World, folder: Path) -> None:
        from chdb import session

        self._session = session.Session(str(folder / "chdb"))
        events = ", ".join(f"'{name}' = {place}" for place, name in enumerate(EVENT_TYPES))
        columns = ", ".join(f"{name} LowCardinality(String)" for name in STRINGS)
        self._run("CREATE DATABASE bench")
        self._run("USE bench")
        self._run(
            f"CREATE TABLE events (customer UInt32, event Enum8({events}), day Int32, time Int64, {columns}, "
            "price Float64, quantity Float64) ENGINE = MergeTree ORDER BY (event, day, customer)"
        )
        columns = ", ".join(f"{name} LowCardinality(String)" for name in PROFILE)
        self._run(f"CREATE TABLE profiles (customer UInt32, {columns}) ENGINE = MergeTree ORDER BY customer")
        self._run("CREATE TABLE everybody (customer UInt32) ENGINE = MergeTree ORDER BY customer")
        for table in ("events", "profiles", "everybody"):
            self._run(f"INSERT INTO {table} SELECT * FROM file('{folder}/{table}.parquet', Parquet)")
            self._run(f"OPTIMIZE TABLE {table} FINAL")

    def _run(self, query: str) -> str:
        return str(self._session.query(query, "TSV"))

    def ids(self, rule: dict[str, Any]) -> NDArray[np.int64]:
        text = self._run(f"SELECT arrayJoin(bitmapToArray({sql.clickhouse(rule)}))")
        return np.sort(np.array(text.split(), np.int64))

    def count(self, rule: dict[str, Any]) -> int:
        return int(self._run(f"SELECT bitmapCardinality({sql.clickhouse(rule)})"))

    def close(self) -> None:
        self._session.close()


class Polars:
    """Polars: its streaming engine on one frame an event type, semi- and anti-joins."""

    name = "polars"

    def __init__(self, world: World, folder: Path) -> None:
        events = pl.read_parquet(folder / "events.parquet")
        self._events = {
            name: events.filter(pl.col("event") == name).drop("event").rechunk() for name in EVENT_TYPES
        }
        self._profiles = pl.read_parquet(folder / "profiles.parquet")
        self._everybody = pl.read_parquet(folder / "everybody.parquet")

    def customers(self, rule: dict[str, Any]) -> pl.LazyFrame:
        """Return a lazy frame of the customers of a rule, each once."""
        [(kind, body)] = rule.items()
        if kind == "did":
            return self._did(body)
        if kind == "profile":
            return self._profiles.lazy().filter(_condition(body["where"])).select("customer")
        if kind == "not":
            return self._everybody.lazy().join(self.customers(body["rule"]), on="customer", how="anti")
        if kind == "any":
            return pl.concat([self.customers(each) for each in body["rules"]]).unique()
        kept = [self.customers(each) for each in body["rules"] if "not" not in each]
        found = kept[0] if kept else self._everybody.lazy()
        for each in kept[1:]:
            found = found.join(each, on="customer", how="semi")
        for each in body["rules"]:
            if "not" in each:
                found = found.join(self.customers(each["not"]["rule"]), on="customer", how="anti")
        return found

    def _did(self, body: dict[str, Any]) -> pl.LazyFrame:
        found = self._events[body["eventType"]].lazy()
        day = sql.first_day(body)
        if day is not None:
            found = found.filter(pl.col("day") >= day)
        if "where" in body:
            found = found.filter(_condition(body["where"]))
        if sql.least(body) == 1:
            return found.select("customer").unique()
        counted = found.group_by("customer").agg(pl.len().alias("events"))
        return counted.filter(pl.col("events") >= sql.least(body)).select("customer")

    def ids(self, rule: dict[str, Any]) -> NDArray[np.int64]:
        found = self.customers(rule).collect(engine="streaming")["customer"]
        return np.sort(found.to_numpy().astype(np.int64))

    def count(self, rule: dict[str, Any]) -> int:
        return int(self.customers(rule).select(pl.len()).collect(engine="streaming").item())

    def close(self) -> None:
        self._events.clear()


def _condition(where: dict[str, Any]) -> pl.Expr:
    [(kind, body)] = where.items()
    if kind == "all":
        return pl.all_horizontal([_condition(each) for each in body["conditions"]])
    if kind == "any":
        return pl.any_horizontal([_condition(each) for each in body["conditions"]])
    if kind == "not":
        return ~_condition(body["condition"])
    column, values = pl.col(body["attribute"]), body["values"]
    tests: dict[str, Callable[[], pl.Expr]] = {
        "EQUALS": lambda: column == values[0],
        "NOT_EQUALS": lambda: column != values[0],
        "IN": lambda: pl.any_horizontal([column == value for value in values]),
        "GREATER_THAN": lambda: column > values[0],
        "AT_LEAST": lambda: column >= values[0],
        "LESS_THAN": lambda: column < values[0],
        "AT_MOST": lambda: column <= values[0],
        "BETWEEN": lambda: column.is_between(values[0], values[-1]),
    }
    return tests[body["op"]]()


def open_peers(world: World, folder: Path, names: tuple[str, ...]) -> list[Peer]:
    """Load the peers of these names."""
    write_files(world, folder)
    makers: dict[str, Callable[[World, Path], Peer]] = {
        "duckdb": DuckDB,
        "polars": Polars,
        "clickhouse": ClickHouse,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [makers[name](world, folder) for name in names]
