"""What is measured on? A growing shop of a year, made by numpy from a seed: the same events on every machine.

Customers are skewed (the busiest hundredth has a tenth of the events), views are most frequent, brands,
categories and products follow Zipf, prices are lognormal. Events arrive mostly in order of time: some come
days late, some twice with the same event id.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Batch, Column, Kind, Strings, Upsert

DAY_MS = 86_400_000
AS_OF = 1_782_842_400_000
"""2026-06-30T18:00:00Z: the last event is just before it, and repetitions ask a few ms behind it."""
TODAY = AS_OF // DAY_MS
DAYS = 365
EVENTS = {"view": 0.70, "click": 0.12, "cart": 0.09, "purchase": 0.075, "signup": 0.015}
EVENT_TYPES = list(EVENTS)
EVENTS_PER_CUSTOMER = 10
LATE, TWICE = 0.02, 0.01
"""Shares of the events that arrive up to three days late, and that arrive twice."""
PROFILED = 5
"""All but every fifth customer have a profile."""
MEDIAN_PRICE, PRICE_SIGMA = 300.0, 1.2
"""16 % of the prices are above 1000."""
ZIPF: dict[str, tuple[int, float]] = {
    "brand": (200, 1.0),
    "category": (50, 1.1),
    "productId": (100_000, 1.0),
    "deviceId": (1_000, 0.5),
}
"""Values and exponent of each string attribute. The first category has a quarter of all events."""
SUBCATEGORIES = 4
"""Sub-categories of a category."""
STRINGS = [*ZIPF, "subCategory1"]
CITIES, COUNTRIES = 100, 10
GENDERS = ["FEMALE", "MALE"]


@dataclass(frozen=True)
class World:
    """Distinct events by column, each (rows,); `codes` index `vocabulary`, `arrivals` index the events.

    `customers` is how many there can be; `profiles` has (customers,) codes, for those of `profiled` alone.
    """

    customers: int
    customer: NDArray[np.uint32]
    event: NDArray[np.uint8]
    time: NDArray[np.int64]
    price: NDArray[np.float64]
    quantity: NDArray[np.float64]
    codes: dict[str, NDArray[np.uint32]]
    vocabulary: dict[str, NDArray[Any]]
    profiles: dict[str, NDArray[np.uint32]]
    arrivals: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """How many distinct events there are."""
        return len(self.customer)

    @property
    def profiled(self) -> NDArray[np.int64]:
        """Customers with a profile, ascending."""
        return np.flatnonzero(np.arange(self.customers) % PROFILED)

    @property
    def everybody(self) -> NDArray[np.int64]:
        """The universe: customers with an event or a profile, ascending."""
        return np.union1d(np.unique(self.customer), self.profiled)


def make_world(rows: int, seed: int = 20260630) -> World:
    """Make a world of so many distinct events."""
    random = np.random.default_rng(seed)
    customers = max(rows // EVENTS_PER_CUSTOMER, 1)
    customer = (customers * random.random(rows) ** 2).astype(np.uint32)
    event = np.searchsorted(np.cumsum(list(EVENTS.values())), random.random(rows)).astype(np.uint8)
    time = AS_OF - (DAYS * DAY_MS * (1 - np.sqrt(random.random(rows)))).astype(np.int64)
    price = np.round(random.lognormal(np.log(MEDIAN_PRICE), PRICE_SIGMA, rows), 2)
    codes = {name: _zipf(random, values, exponent, rows) for name, (values, exponent) in ZIPF.items()}
    codes["subCategory1"] = codes["category"] * SUBCATEGORIES + codes["productId"] % SUBCATEGORIES
    sizes = {**{name: values for name, (values, _) in ZIPF.items()}, "subCategory1": 50 * SUBCATEGORIES}
    vocabulary = {name: _names(name, values) for name, values in sizes.items()}
    vocabulary |= {"city": _names("city", CITIES), "country": _names("country", COUNTRIES)}
    vocabulary["gender"] = np.array(GENDERS, object)
    profiles = {
        "city": _zipf(random, CITIES, 1.0, customers),
        "country": _zipf(random, COUNTRIES, 1.0, customers),
        "gender": random.integers(0, len(GENDERS), customers, np.uint32),
    }
    delay = np.where(random.random(rows) < LATE, random.integers(0, 3 * DAY_MS, rows), 0)
    again = np.flatnonzero(random.random(rows) < TWICE)
    arrived = np.concatenate((time + delay, (time + delay)[again] + random.integers(0, DAY_MS, len(again))))
    arrivals = np.concatenate((np.arange(rows), again))[np.argsort(arrived, kind="stable")]
    quantity = random.integers(1, 6, rows).astype(np.float64)
    return World(customers, customer, event, time, price, quantity, codes, vocabulary, profiles, arrivals)


def _zipf(random: np.random.Generator, values: int, exponent: float, size: int) -> NDArray[np.uint32]:
    weights = np.arange(1, values + 1) ** -exponent
    bounds = np.cumsum(weights / weights.sum())[:-1]
    return np.searchsorted(bounds, random.random(size)).astype(np.uint32)


def _names(attribute: str, values: int) -> NDArray[Any]:
    return np.array([f"{attribute}-{value}" for value in range(values)], object)


def customer_id(number: int) -> str:
    """Return the id of a customer."""
    return f"c{number:08d}"


def customer_numbers(ids: list[str]) -> NDArray[np.int64]:
    """Return the customers with these ids, ascending."""
    return np.sort(np.fromiter((int(each[1:]) for each in ids), np.int64, len(ids)))


def batch(world: World, places: NDArray[np.int64], ids: str = "e") -> Batch:
    """Return some events as a client sends them; `ids` begins their event ids."""
    strings = [
        Column(name, Kind.STRING, Strings.of(world.vocabulary[name][world.codes[name][places]].tolist()))
        for name in STRINGS
    ]
    numbers = [
        Column("price", Kind.NUMBER, world.price[places]),
        Column("quantity", Kind.NUMBER, world.quantity[places]),
    ]
    return Batch(
        Strings.of(map(customer_id, world.customer[places].tolist())),
        Strings(world.event[places].astype(np.uint32), EVENT_TYPES),
        world.time[places],
        [f"{ids}{place}" for place in places.tolist()],
        [*strings, *numbers],
    )


def batches(world: World, size: int) -> Iterator[Batch]:
    """Yield all events in order of arrival, duplicates included."""
    for first in range(0, len(world.arrivals), size):
        yield batch(world, world.arrivals[first : first + size])


def upserts(world: World, customers: NDArray[np.int64]) -> list[Upsert]:
    """Return the profiles of some customers as a client sends them."""
    columns = [world.vocabulary[name][codes[customers]].tolist() for name, codes in world.profiles.items()]
    names = list(world.profiles)
    return [
        Upsert(customer_id(customer), dict(zip(names, values, strict=True)))
        for customer, *values in zip(customers.tolist(), *columns, strict=True)
    ]
