"""Which cohorts does the demo ask for? Three that a grocer would act on."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from google.protobuf import json_format

from libs.gen.cohort.v1 import rule_pb2

SOFT_DRINKS = "103"
"""The manufacturer with most of the soft drinks in the data."""
REGULAR = 20
"""Purchases in 90 days that make a household a regular."""
QUIET_DAYS = 30
"""Days without a purchase that make a regular a lapsed one."""
SEASON_DAYS = 90
"""Days before the quiet ones in which a regular was one."""


@dataclass(frozen=True, slots=True)
class Question:
    """A rule, and what it is good for."""

    name: str
    why: str
    rule: rule_pb2.Rule


def _rule(content: dict[str, Any]) -> rule_pb2.Rule:
    return json_format.ParseDict(content, rule_pb2.Rule())


def season(today: date) -> tuple[date, date]:
    """Return the first and the last day in which a lapsed regular must have bought."""
    last = today - timedelta(days=QUIET_DAYS)
    return last - timedelta(days=SEASON_DAYS - 1), last


def quiet() -> dict[str, Any]:
    """Return the rule of those who have bought nothing lately."""
    window = {"last": {"amount": QUIET_DAYS, "unit": "DAY"}}
    return {"did": {"eventType": "purchase", "when": window, "count": {"op": "EXACTLY", "value": 0}}}


def bought(today: date, count: dict[str, Any]) -> dict[str, Any]:
    """Return the rule of those who bought so often in the season."""
    first, last = season(today)
    window = {"between": {"from": first.isoformat(), "to": last.isoformat()}}
    return {"did": {"eventType": "purchase", "when": window, "count": count}}


def lapsed(today: date) -> Question:
    """Return the cohort that the demo saves and syncs."""
    regular = bought(today, {"op": "AT_LEAST", "value": REGULAR})
    why = "They shopped all season and then stopped: the ones to win back."
    return Question("Lapsed regulars", why, _rule({"all": {"rules": [regular, quiet()]}}))


def nearly_lapsed(today: date) -> rule_pb2.Rule:
    """Return the rule of those who would be lapsed regulars with up to five purchases more in the season."""
    nearly = bought(today, {"op": "BETWEEN", "value": REGULAR - 5, "upper": REGULAR - 1})
    return _rule({"all": {"rules": [nearly, quiet()]}})


def active() -> rule_pb2.Rule:
    """Return the rule of those who buy."""
    return _rule({"not": {"rule": quiet()}})


def questions(today: date) -> list[Question]:
    """Return the three cohorts."""
    big_ticket = {
        "all": {
            "conditions": [
                {"test": {"attribute": "brand", "op": "EQUALS", "values": [SOFT_DRINKS]}},
                {"test": {"attribute": "price", "op": "GREATER_THAN", "values": [5]}},
            ]
        }
    }
    season_back = {"last": {"amount": SEASON_DAYS, "unit": "DAY"}}
    three = {"op": "AT_LEAST", "value": 3}
    loyal = {"did": {"eventType": "purchase", "where": big_ticket, "when": season_back, "count": three}}
    no_coupon = {"not": {"rule": {"did": {"eventType": "coupon_redemption", "when": season_back}}}}
    couponers = {"did": {"eventType": "coupon_redemption", "count": {"op": "AT_LEAST", "value": 2}}}
    with_children = {"test": {"attribute": "kids", "op": "IN", "values": ["1", "2", "3+"]}}
    month = {"last": {"amount": 30, "unit": "DAY"}}
    not_mailed = {"not": {"rule": {"did": {"eventType": "campaign", "when": month}}}}
    families = [couponers, {"profile": {"where": with_children}}, not_mailed]
    return [
        Question(
            "Loyal at full price",
            f"Brand {SOFT_DRINKS} and above 5 in one purchase, three times over; and no coupon was needed.",
            _rule({"all": {"rules": [loyal, no_coupon]}}),
        ),
        lapsed(today),
        Question(
            "Families who use coupons",
            "They redeem, they have children, and no campaign has reached them this month: the next mailing.",
            _rule({"all": {"rules": families}}),
        ),
    ]
