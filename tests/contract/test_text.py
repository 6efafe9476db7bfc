"""What does CohortService answer to the text form? Over real gRPC, in JSON form."""

import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.contract.harness import Client, Json, client, did, event, test_of

INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
LAST_30_DAYS = {"last": {"amount": 30, "unit": "DAY"}}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server for all tests here: texts change nothing."""
    with client(tmp_path_factory.mktemp("served")) as (connected, _):
        yield connected


def parse(api: Client, text: str) -> Json:
    rule: Json = api.call("ParseRule", {"text": text})["rule"]
    return rule


def format_(api: Client, rule: Json) -> str:
    text: str = api.call("FormatRule", {"rule": rule})["text"]
    return text


def every(*rules: Json) -> Json:
    return {"all": {"rules": list(rules)} if rules else {}}


def some(*rules: Json) -> Json:
    return {"any": {"rules": list(rules)} if rules else {}}


def no(rule: Json) -> Json:
    return {"not": {"rule": rule}}


def both(*conditions: Json) -> Json:
    return {"all": {"conditions": list(conditions)} if conditions else {}}


def either(*conditions: Json) -> Json:
    return {"any": {"conditions": list(conditions)} if conditions else {}}


def a(op: str, *values: Any, **fields: Any) -> Json:
    test = test_of("a", op, *values, **fields)
    if not values:
        del test["test"]["values"]
    return test


def counted(op: str, value: int, **fields: Any) -> Json:
    return did(count={"op": op, "value": value, **fields})


def figure(function: str, op: str, value: float, attribute: str | None = "price", **fields: Any) -> Json:
    named = {"attribute": attribute} if attribute else {}
    aggregate = {"function": function, **named, "op": op, "value": value, **fields}
    return did("purchase", aggregate=aggregate)


def steps(*steps: Json, **fields: Any) -> Json:
    return {"sequence": {"steps": list(steps), **fields}}


PRICED = test_of("price", "GREATER_THAN", 1000)
CANONICAL: list[tuple[str, Json]] = [
    # rules
    ("view and cart and click", every(did(), did("cart"), did("click"))),
    ("view or cart", some(did(), did("cart"))),
    ("not view", no(did())),
    ("not not view", no(no(did()))),
    ("all(view)", every(did())),
    ("any(view)", some(did())),
    ("everyone", every()),
    ("nobody", some()),
    ("(view or cart) and not click", every(some(did(), did("cart")), no(did("click")))),
    ("(view and cart) and click", every(every(did(), did("cart")), did("click"))),
    ("not (view or cart)", no(some(did(), did("cart")))),
    # behaviour
    ("`first` and `a``b` and data.x", every(did("first"), did("a`b"), did("data.x"))),
    ("first view", did(firstTime=True)),
    ("view at least 3 times", counted("AT_LEAST", 3)),
    ("view at most 1 time", counted("AT_MOST", 1)),
    ("view exactly 0 times", counted("EXACTLY", 0)),
    ("view more than 2 times", counted("MORE_THAN", 2)),
    ("view less than 2 times", counted("LESS_THAN", 2)),
    ("view between 2 and 4 times", counted("BETWEEN", 2, upper=4)),
    (
        "purchase where (a = \"b\" and price > 1000) at least 3 times in last 30 days",
        did(
            "purchase",
            where=both(a("EQUALS", "b"), PRICED),
            when=LAST_30_DAYS,
            count={"op": "AT_LEAST", "value": 3},
        ),
    ),
    # windows
    *(
        (f"view in last 2 {unit.lower()}s", did(when={"last": {"amount": 2, "unit": unit}}))
        for unit in ("MINUTE", "HOUR", "DAY", "WEEK", "MONTH")
    ),
    ("view in last 1 day", did(when={"last": {"amount": 1, "unit": "DAY"}})),
    (
        "view from 2026-01-01 to 2026-01-31",
        did(when={"between": {"from": "2026-01-01", "to": "2026-01-31"}}),
    ),
    ("view since 2026-01-01", did(when={"between": {"from": "2026-01-01"}})),
    ("view until 2026-01-31T12:00:00.5+05:30", did(when={"between": {"to": "2026-01-31T12:00:00.5+05:30"}})),
    ("view between 60 and 31 days ago", did(when={"daysAgo": {"from": 60, "to": 31}})),
    # figures
    ("sum of price of purchase >= 5000", figure("SUM", "AT_LEAST", 5000)),
    ("average of price of purchase <= 0.5", figure("AVERAGE", "AT_MOST", 0.5)),
    ("minimum of price of purchase = -1", figure("MINIMUM", "EXACTLY", -1)),
    ("maximum of price of purchase > 1e+300", figure("MAXIMUM", "MORE_THAN", 1e300)),
    ("distinct of price of purchase < 3", figure("DISTINCT", "LESS_THAN", 3)),
    ("active days of purchase between 10 and 20", figure("ACTIVE_DAYS", "BETWEEN", 10, None, upper=20)),
    # profiles and sequences
    ("profile", {"profile": {}}),
    ('profile where a = "pune"', {"profile": {"where": a("EQUALS", "pune")}}),
    (
        "view then cart where price > 1000 then purchase within 2 days in last 30 days",
        steps(
            {"eventType": "view"},
            {"eventType": "cart", "where": PRICED},
            {"eventType": "purchase"},
            within={"amount": 2, "unit": "DAY"},
            when=LAST_30_DAYS,
        ),
    ),
    # conditions
    *(
        (f"view where {text}", did(where=condition))
        for text, condition in (
            ('a = "x"', a("EQUALS", "x")),
            ("a != true", a("NOT_EQUALS", True)),
            ('a in ("x", 1, false)', a("IN", "x", 1, False)),
            ("a not in (1)", a("NOT_IN", 1)),
            ("a > 1", a("GREATER_THAN", 1)),
            ("a >= 1.5", a("AT_LEAST", 1.5)),
            ("a < -1", a("LESS_THAN", -1)),
            ('a <= "2026-01-31"', a("AT_MOST", "2026-01-31")),
            ("a between 1 and 2", a("BETWEEN", 1, 2)),
            ('a contains ""', a("CONTAINS", "")),
            ('a contains any of ("x", "y")', a("CONTAINS", "x", "y")),
            ('a not contains "日本\\n\\"\\\\"', a("NOT_CONTAINS", '日本\n"\\')),
            ('a starts with "x"', a("STARTS_WITH", "x")),
            ('a ends with any of ("x", "y")', a("ENDS_WITH", "x", "y")),
            ('a matches "^\\\\d+$"', a("MATCHES", r"^\d+$")),
            ("a is set", a("IS_SET")),
            ("a is not set", a("IS_NOT_SET")),
            ('a = "x" ignoring case', a("EQUALS", "x", ignoreCase=True)),
            ("true", both()),
            ("false", either()),
            ("not a is set", {"not": {"condition": a("IS_SET")}}),
            ("all(a is set)", both(a("IS_SET"))),
            ("any(a is set)", either(a("IS_SET"))),
            (
                "(a = 1 and (a = 2 or not a = 3))",
                both(a("EQUALS", 1), either(a("EQUALS", 2), {"not": {"condition": a("EQUALS", 3)}})),
            ),
        )
    ),
]  # fmt: skip
EQUAL: list[tuple[str, str]] = [
    ("((VIEW)) And  NOT\n\tcart", "VIEW and not cart"),
    ("view and cart or click and not (signup)", "(view and cart) or (click and not signup)"),
    ("view where a = 1 and b = 2 or c = 3", "view where ((a = 1 and b = 2) or c = 3)"),
    ("view where a = 1 and b where c = 2 or d = 3", "view where a = 1 and b where (c = 2 or d = 3)"),
    ("view where a = 1 and b in last 3 days", "view where a = 1 and b in last 3 days"),
    ("view where a = 1 and b in (3)", "view where (a = 1 and b in (3))"),
    ("view where a = 1 and b between 2 and 4 times", "view where a = 1 and b between 2 and 4 times"),
    ("view where a = 1 and b between 2 and 4", "view where (a = 1 and b between 2 and 4)"),
    ("view where a = 1 or not (b between 9 and 2 days ago)", "view where a = 1 or not b between 9 and 2 days ago"),
    ("view where not (a = 1 and all(b is set)) and cart", "view where (not (a = 1 and all(b is set))) and cart"),
    ("sum of a of c where b > 1 and c < 2 between 3 and 4", "sum of a of c where (b > 1 and c < 2) between 3 and 4"),
    ('view where a contains any of ("x") exactly 1 times', 'view where a contains "x" exactly 1 time'),
    ('view where a in (TRUE, "\\u0041", 1.50, 1E3)', 'view where a in (true, "A", 1.5, 1000)'),
    ("`view` then `a.b` within 1 hours", "view then a.b within 1 hour"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rule"), CANONICAL, ids=[text for text, _ in CANONICAL])
def test_every_construct_has_its_one_text(api: Client, text: str, rule: Json) -> None:
    assert parse(api, text) == rule
    assert format_(api, rule) == text


@pytest.mark.parametrize(("text", "canonical"), EQUAL)
def test_a_text_written_another_way_means_the_same(api: Client, text: str, canonical: str) -> None:
    assert format_(api, parse(api, text)) == canonical
    assert parse(api, canonical) == parse(api, text)


MISTAKES: list[tuple[str, int, int, str]] = [
    ("", 1, 1, "expected a rule"),
    ("view and", 1, 9, "expected a rule .*, but the text ends here"),
    ("view where", 1, 11, "expected a condition"),
    ("view where price", 1, 17, "expected a test"),
    ("view price > 5", 1, 6, "`where`.*, not `price`"),
    ("view and cart >= 5", 1, 15, "not `>=`"),
    ("view where (a = 1 and cart)", 1, 27, "expected a test .*, not `\\)`"),
    ("view\n  and (cart", 2, 12, "`\\)`.*, but the text ends here"),
    ("view at least 3", 1, 16, "expected `times`"),
    ("view in last 30 fortnights", 1, 17, "expected minutes, hours, days, weeks or months, not `fortnights`"),
    ("view in last 7 days at least 3 times", 1, 21, "a count stands before the window"),
    ("view where case = 1", 1, 12, "`case` is|it is a word of the language"),
    ("view where a > abc", 1, 16, "expected a value"),
    ("view where a = 'x'", 1, 16, "double quotes"),
    ('view where a = "x', 1, 16, "no closing"),
    ('view where a = "\\q"', 1, 16, "no JSON string"),
    ('view where a = "\\ud800"', 1, 16, "no JSON string"),
    ("view `x", 1, 6, "no closing backquote"),
    ("view since yesterday", 1, 12, "expected a date"),
    ("sum of price of view", 1, 21, "expected a comparison"),
    ("café", 1, 4, "`é` means nothing here"),
    # what the checks of any rule find
    ("view since 2026-02-30", 1, 12, "must be a date"),
    ("view between 4 and 2 times", 1, 20, "must not be below"),
    ("view at least 1.5 times", 1, 15, "a whole number"),
    ("view at least 2147483648 times", 1, 15, "at most 2,147,483,647"),
    ("view in last 36501 days", 1, 14, "must be from 1 to 36,500"),
    ("view between 2 and 3 days ago", 1, 20, "must be from 0 to the earlier end"),
    ("view from 2026-01-02 to 2026-01-01", 1, 11, "must not be behind"),
    ("cart and view where (a = 1 and b between 2 and 1)", 1, 42, "lower value must come first"),
    ('view where a contains any of ("x", 5)', 1, 36, "must be a string"),
    ('view where a < "soon"', 1, 16, "must be numbers, or dates"),
    ('view where a matches "("', 1, 22, "regular expression"),
    ("view where a = 1e999", 1, 16, "finite number"),
    ("sum of a of view >= 1e999", 1, 21, "finite number"),
    ("``", 1, 1, "is required"),
    ("a then b then c then d then e then f then g then h then i", 1, 1, "has 2 to 8 steps"),
]


@pytest.mark.parametrize(("text", "line", "column", "says"), MISTAKES, ids=[each[0] for each in MISTAKES])
def test_a_mistake_is_shown_with_a_caret(api: Client, text: str, line: int, column: int, says: str) -> None:
    for method in ("ParseRule", "RunRule"):
        failed = api.failure(method, {"text": text})
        assert (failed.code, failed.reason) == (INVALID, "INVALID_RULE")
        assert [at for at, _ in failed.violations] == ["text"]
        first, shown, caret = failed.message.split("\n")
        assert first.startswith(f"line {line}, column {column}: ")
        assert re.search(says, first), first
        assert (shown, caret) == (text.split("\n")[line - 1], " " * (column - 1) + "^")


def test_columns_are_those_of_a_terminal_and_long_lines_are_cut(api: Client) -> None:
    failed = api.failure("ParseRule", {"text": 'view where\t`日本` = "日本\u0301" oops'})
    _, shown, caret = failed.message.split("\n")
    assert shown == 'view where `日本` = "日本\u0301" oops'
    assert len(caret) - 1 == 27  # four characters take two columns, one takes none
    failed = api.failure("ParseRule", {"text": f'view where a in ("{"x" * 5000}") oops{" and y" * 5000}'})
    _, shown, caret = failed.message.split("\n")
    assert shown[len(caret) - 1 :].startswith("oops")
    assert len(failed.message) < 400
    failed = api.failure("ParseRule", {"text": "view \x1b[31m"})
    assert "\x1b" not in failed.message


HOSTILE = [
    "(" * 100_000 + "view" + ")" * 100_000,
    "(" * 1_000_000,
    "not " * 250_000 + "view",
    "all(" * 250_000,
    "view and " * 110_000 + "view",
    "view then " * 100_000 + "view",
    f"view where a in ({'1,' * 500_000}",
    f"view where a in ({',' * 1_000_000}",
    f"view where a in ({'1,' * 500_000}1)",
    f"view where a = {'9' * 1_000_000}",
    f"view at least {'9' * 1_000_000} times",
    'view where a = "' + "x" * 1_000_000,
    "x" * 1_000_000,
    "`" * 1_000_001,
    "\n" * 1_000_000,
    "1-" * 500_000,
    "view" + " " * (1 << 20),
    'view where a matches "' + "(" * 100_000 + '"',
]


@pytest.mark.parametrize("text", HOSTILE, ids=[each[:25] for each in HOSTILE])
def test_hostile_text_is_refused_and_the_server_goes_on(api: Client, text: str) -> None:
    failed = api.failure("ParseRule", {"text": text})
    assert failed.code == INVALID
    assert [at for at, _ in failed.violations] == ["text"]
    assert len(failed.message) < 1000
    assert parse(api, "everyone") == every()


def test_the_limits_of_a_rule_hold_for_texts_and_what_is_within_them_reads_back(api: Client) -> None:
    tested = did(where=a("IS_SET"))
    for rule in (
        every(*[tested] * 249, did()),
        did(where=a("IN", *map(str, range(10_000)))),
        did(where=a("EQUALS", "é" * 500_000)),
    ):
        assert parse(api, format_(api, rule)) == rule
    assert parse(api, "(" * 90 + "not " * 31 + "view" + ")" * 90)
    for text, reason in (
        (" and ".join(["view where a is set"] * 250), "RULE_TOO_LARGE"),
        ("not " * 32 + "view", "RULE_TOO_LARGE"),
        (f"view where {'not ' * 31} a is set", "RULE_TOO_LARGE"),
        (f"view where a in ({', '.join(map(str, range(10_001)))})", "INVALID_RULE"),
        ("x" * 257, "INVALID_RULE"),
    ):
        failed = api.failure("ParseRule", {"text": text})
        assert (failed.code, failed.reason) == (INVALID, reason)
        assert [at for at, _ in failed.violations] == ["text"]


def test_a_rule_too_large_for_a_text_is_not_written(api: Client) -> None:
    failed = api.failure("FormatRule", {"rule": did(where=a("EQUALS", "x" * (1 << 20)))})
    assert (failed.code, failed.reason) == (INVALID, "RULE_TOO_LARGE")
    assert [at for at, _ in failed.violations] == ["rule"]


@pytest.mark.parametrize(
    ("rule", "path"),
    [({}, "rule"), (None, "rule"), (did(""), "rule.did.eventType"), (every(did(), {}), "rule.all.rules[1]")],
)
def test_a_bad_rule_is_not_written(api: Client, rule: Json | None, path: str) -> None:
    failed = api.failure("FormatRule", {} if rule is None else {"rule": rule})
    assert (failed.code, failed.reason) == (INVALID, "INVALID_RULE")
    assert [at for at, _ in failed.violations] == [path]


def test_cohorts_go_by_their_current_names(api: Client) -> None:
    saved = api.call("CreateCohort", {"cohort": {"name": 'Big "spenders"', "rule": did("purchase")}})[
        "cohort"
    ]
    cohort_id, rule = saved["cohortId"], {"cohort": {"cohortId": saved["cohortId"]}}
    assert format_(api, no(rule)) == 'not cohort "Big \\"spenders\\""'
    assert parse(api, 'not COHORT "Big \\"spenders\\""') == no(rule)
    renamed = {"cohort": {"cohortId": cohort_id, "name": "Fans"}, "updateMask": "name"}
    api.call("UpdateCohort", renamed)
    assert format_(api, rule) == 'cohort "Fans"'
    assert parse(api, f'cohort id "{cohort_id}"') == rule
    api.call("DeleteCohort", {"cohortId": cohort_id})
    assert format_(api, rule) == f'cohort id "{cohort_id}"'
    for method in ("ParseRule", "RunRule"):
        failed = api.failure(method, {"text": 'view and\n  cohort "Fans"'})
        assert (failed.code, failed.reason) == (MISSING, "COHORT_NOT_FOUND")
        assert [at for at, _ in failed.violations] == ["text"]
        assert failed.message.split("\n") == [
            "line 2, column 10: there is no cohort of the name 'Fans'",
            '  cohort "Fans"',
            "         ^",
        ]


def test_a_text_is_run_as_its_rule(api: Client) -> None:
    api.send(
        event("ann", "purchase", data={"brand": "acme", "price": 1200}),
        event("bob", "purchase", data={"brand": "acme", "price": 90}),
        event("bob", "purchase", data={"brand": "zeta", "price": 2000}),
        event("cid", "cart", data={"odd": 1}),
    )
    text = 'purchase where (brand = "acme" and price > 1000) and not view'
    answer = api.call("RunRule", {"text": text, "withNodeSizes": True})
    assert (answer["customerIds"], answer["nodeSizes"]) == (["ann"], [1, 1, 3, 0])
    page = api.call("RunRule", {"text": "everyone", "pageSize": 2})
    rest = {"text": "everyone", "pageSize": 2, "pageToken": page["nextPageToken"]}
    assert page["customerIds"] + api.call("RunRule", rest)["customerIds"] == ["ann", "bob", "cid"]
    assert "'never.seen'" in api.call("RunRule", {"text": "`never.seen` or cart"})["warnings"][0]
