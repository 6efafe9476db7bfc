"""What is asked? Rules by shape, as JSON in the words of the contract: the wire, the engine and peers read it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Rule = dict[str, Any]
TREES, TREE_SAMPLE = 200, 40
"""Random rules, and how many of them are checked against DuckDB and timed there."""
EVERY_PEER = ("duckdb", "polars", "clickhouse")
ONE_PEER = ("duckdb",)
WINDOWS = {"7 d": 7, "30 d": 30, "90 d": 90, "365 d": 365, "ever": None}
COUNTS = (1, 2, 3, 5, 10, 20)
TOP_BRAND, TOP_CATEGORY, TOP_CITY = "brand-0", "category-0", "city-0"


@dataclass(frozen=True)
class Shape:
    """Rules that are timed together. `sampled` of them are checked against, and timed on, `peers`."""

    name: str
    rules: tuple[Rule, ...]
    peers: tuple[str, ...] = ONE_PEER
    sampled: int = 5


def test(attribute: str, op: str, *values: str | float) -> Rule:
    """Test one attribute."""
    return {"test": {"attribute": attribute, "op": op, "values": list(values)}}


def both(*conditions: Rule) -> Rule:
    """Every condition on one event, or one profile."""
    return {"all": {"conditions": list(conditions)}}


def did(event: str, days: int | None = 30, where: Rule | None = None, at_least: int = 1) -> Rule:
    """Ask who has so many events in the last days."""
    body: Rule = {"eventType": event}
    if where:
        body["where"] = where
    if days:
        body["when"] = {"last": {"amount": days, "unit": "DAY"}}
    if at_least > 1:
        body["count"] = {"op": "AT_LEAST", "value": at_least}
    return {"did": body}


def every(*rules: Rule) -> Rule:
    """Every rule holds."""
    return {"all": {"rules": list(rules)}}


def some(*rules: Rule) -> Rule:
    """Some rule holds."""
    return {"any": {"rules": list(rules)}}


def no(rule: Rule) -> Rule:
    """The rule does not hold."""
    return {"not": {"rule": rule}}


def profile(where: Rule) -> Rule:
    """The profile satisfies a condition."""
    return {"profile": {"where": where}}


BRAND = test("brand", "EQUALS", TOP_BRAND)
DEAR = both(BRAND, test("price", "GREATER_THAN", 1000))
CATEGORY = test("category", "EQUALS", TOP_CATEGORY)
B = did("purchase", 30, DEAR)
FIVE_LEAVES = every(
    B,
    did("view", 90, BRAND, 2),
    no(did("purchase", 7)),
    some(did("signup", None), profile(test("city", "EQUALS", TOP_CITY))),
)
"""A cohort as marketers save them."""


def letters() -> Iterator[Shape]:
    """Yield the questions a to e that every peer is asked."""
    yield Shape("a: purchase in 30 d", (did("purchase"),), EVERY_PEER)
    yield Shape("b: purchase, top brand, price > 1000, 30 d", (B,), EVERY_PEER)
    yield Shape("c: view ≥ 3 in 30 d", (did("view", 30, None, 3),), EVERY_PEER)
    yield Shape(
        "d: (b and not purchase in 7 d) or signup",
        (some(every(B, no(did("purchase", 7))), did("signup", None)),),
        EVERY_PEER,
    )
    yield Shape(
        "e: b ≥ 2 times and not signup",
        (every(did("purchase", 30, DEAR, 2), no(did("signup", None))),),
        EVERY_PEER,
    )


def windows() -> Iterator[Shape]:
    """Yield kinds of behaviour in windows of every length."""
    for label, event, where in (
        ("view", "view", None),
        ("purchase", "purchase", None),
        ("view, top brand", "view", BRAND),
        ("purchase, top brand, price > 1000", "purchase", DEAR),
    ):
        for window, days in WINDOWS.items():
            yield Shape(f"{label}, {window}", (did(event, days, where),))


def conditions() -> Iterator[Shape]:
    """Yield ranges, loose and tight, and two or three tests of one event."""
    loose, tight = test("price", "GREATER_THAN", 50), test("price", "BETWEEN", 500, 510)
    for label, price in (("loose", loose), ("tight", tight)):
        yield Shape(f"view, {label} range, 30 d", (did("view", 30, price),))
        yield Shape(f"view, top brand, {label} range, 30 d", (did("view", 30, both(BRAND, price)),))
    for window in ("7 d", "30 d", "90 d", "ever"):
        rule = did("view", WINDOWS[window], both(CATEGORY, loose))
        yield Shape(f"broad same-event (¼ of views, loose range), {window}", (rule,), EVERY_PEER)
    yield Shape("two strings on one event, 90 d", (did("view", 90, both(BRAND, CATEGORY)),))
    yield Shape(
        "two strings and a range on one event, 90 d", (did("view", 90, both(BRAND, CATEGORY, tight)),)
    )
    brands = [f"brand-{place}" for place in (1, 5, 20, 50, 100)]
    yield Shape("brand in five, 30 d", (did("view", 30, test("brand", "IN", *brands)),))
    yield Shape(
        "a product, top to rare, 90 d",
        tuple(did("view", 90, test("productId", "EQUALS", f"productId-{10**n}")) for n in range(5)),
    )


def texts() -> Iterator[Shape]:
    """Yield tests that read strings: of 200 brands, of 100,000 products, and of profiles."""
    yield Shape("brand contains, 30 d", (did("view", 30, test("brand", "CONTAINS", "-1")),), ONE_PEER)
    yield Shape(
        "product starts with, 30 d",
        (did("view", 30, test("productId", "STARTS_WITH", "productId-77")),),
        ONE_PEER,
    )
    yield Shape("product matches, 30 d", (did("view", 30, test("productId", "MATCHES", "-7+$")),), ONE_PEER)
    yield Shape("profile: city contains", (profile(test("city", "CONTAINS", "-1")),), ONE_PEER)


def counted() -> Iterator[Shape]:
    """Yield counts of every height, with and without a condition."""
    for least in COUNTS:
        yield Shape(f"view ≥ {least}, 30 d", (did("view", 30, None, least),))
        yield Shape(f"view, top brand, ≥ {least}, 30 d", (did("view", 30, BRAND, least),))
    for window, days in WINDOWS.items():
        yield Shape(f"view ≥ 3, any window: {window}", (did("view", days, None, 3),))


def mixed() -> Iterator[Shape]:
    """Yield complements, and behaviour beside profiles."""
    yield Shape("not purchase in 30 d", (no(did("purchase")),))
    yield Shape("not b", (no(B),))
    city = profile(test("city", "EQUALS", TOP_CITY))
    women = profile(test("gender", "EQUALS", "FEMALE"))
    yield Shape("profile: city", (city,))
    yield Shape("city and purchase in 30 d", (every(city, did("purchase")),))
    yield Shape(
        "women, view of top brand in 90 d, not purchase",
        (every(women, did("view", 90, BRAND), no(did("purchase", 90))),),
    )
    yield Shape("a saved cohort of 5 leaves", (FIVE_LEAVES,))


def figure(event: str, function: str, attribute: str | None, op: str, value: float) -> Rule:
    """Ask for a figure over the events of the last 30 days."""
    rule = did(event)
    named = {} if attribute is None else {"attribute": attribute}
    rule["did"]["aggregate"] = {"function": function, "op": op, "value": value, **named}
    return rule


def behaviours() -> Iterator[Shape]:
    """Yield what needs each event's own number or time: figures, first times, orders.

    Sums are compared with what no sum of cents is: peers round each addition.
    """
    yield Shape(
        "sum of price of purchase ≥ 5000, 30 d", (figure("purchase", "SUM", "price", "AT_LEAST", 4999.995),)
    )
    yield Shape("sum of price of view ≥ 5000, 30 d", (figure("view", "SUM", "price", "AT_LEAST", 4999.995),))
    yield Shape(
        "maximum of price of purchase > 1000, 30 d",
        (figure("purchase", "MAXIMUM", "price", "MORE_THAN", 1000),),
    )
    yield Shape("distinct brands of view ≥ 5, 30 d", (figure("view", "DISTINCT", "brand", "AT_LEAST", 5),))
    yield Shape("active days of view ≥ 5, 30 d", (figure("view", "ACTIVE_DAYS", None, "AT_LEAST", 5),))
    first = did("purchase")
    first["did"]["firstTime"] = True
    yield Shape("first purchase, 30 d", (first,))
    for label, where in (("view", None), ("view of top brand", BRAND)):
        steps = [did("view", None, where)["did"], {"eventType": "purchase"}]
        order = {"steps": steps, "within": {"amount": 2, "unit": "DAY"}, "when": did("view")["did"]["when"]}
        yield Shape(f"{label} then purchase within 2 d, 30 d", ({"sequence": order},))


def trees() -> Shape:
    """Return random trees of 2 to 5 leaves, the same in every run."""
    chance = random.Random(7)
    return Shape(
        "random trees of 2–5 leaves",
        tuple(_tree(chance, chance.randint(2, 5)) for _ in range(TREES)),
        ONE_PEER,
        TREE_SAMPLE,
    )


def _tree(chance: random.Random, leaves: int) -> Rule:
    if leaves == 1:
        return _leaf(chance)
    left = chance.randint(1, leaves - 1)
    one, two = _tree(chance, left), _tree(chance, leaves - left)
    shape = chance.random()
    if shape < 0.4:
        return every(one, two)
    return every(one, no(two)) if shape < 0.7 else some(one, two)


def _leaf(chance: random.Random) -> Rule:
    if chance.random() < 0.1:
        return profile(test("city", "EQUALS", f"city-{chance.randrange(20)}"))
    event = chance.choice(["view", "view", "click", "cart", "purchase", "purchase", "signup"])
    where = chance.choice([None, _string, _number, lambda c: both(_string(c), _number(c))])
    count = chance.choice([1, 1, 1, 2, 3, 5])
    return did(event, chance.choice([7, 30, 30, 90, 365, None]), where(chance) if where else None, count)


def _string(chance: random.Random) -> Rule:
    attribute, values = chance.choice(
        [("brand", 200), ("category", 50), ("subCategory1", 200), ("productId", 1000)]
    )
    return test(attribute, "EQUALS", f"{attribute}-{int(values * chance.random() ** 3)}")


def _number(chance: random.Random) -> Rule:
    price = round(chance.lognormvariate(5.7, 1.2), 2)
    return test("price", chance.choice(["GREATER_THAN", "AT_MOST"]), price)


def all_shapes() -> list[Shape]:
    """Return every shape."""
    return [*letters(), *windows(), *conditions(), *texts(), *counted(), *mixed(), *behaviours(), trees()]
