"""One event with a value too long, or too many attributes, is refused alone, in whatever form it comes."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.ingest.validate import MAX_OWN_ATTRIBUTES, MAX_VALUE_BYTES
from tests.contract.harness import Client, Json, client, did, event, test_of

LONGEST = "\u00fc" * (MAX_VALUE_BYTES // 2)
"""Of two bytes a character."""
LEGAL = {"good": {"long": LONGEST}, "wide": {f"a{n}": 1.0 for n in range(MAX_OWN_ATTRIBUTES)}}
TOO_LONG = {"a0": "x", "long": LONGEST + "x"}
TOO_WIDE = {f"a{n}": True for n in range(MAX_OWN_ATTRIBUTES + 1)}
Data = dict[str, dict[str, Any]]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Client]:
    with client(tmp_path) as (connected, _):
        yield connected


def rows(api: Client, sent: Data) -> Json:
    return api.send(*(event(name, data=data) for name, data in sent.items()))


def lines(api: Client, sent: Data) -> Json:
    whole = b"\n".join(json.dumps(event(name, data=data)).encode() for name, data in sent.items())
    answer: Json = api.call("SendEventsJson", {"jsonLines": b64encode(whole).decode()})
    return answer


def columns(api: Client, sent: Data) -> Json:
    columns: list[Json] = []
    kinds = {str: ("strings", ""), float: ("numbers", 0.0), bool: ("bools", False)}
    for kind, (field, nothing) in kinds.items():
        for name in dict.fromkeys(name for data in sent.values() for name in data):
            present = [isinstance(data.get(name), kind) for data in sent.values()]
            if any(present):
                values = [
                    data[name] if there else nothing
                    for data, there in zip(sent.values(), present, strict=True)
                ]
                columns.append({"attribute": name, field: values, "present": present})
    request = {"customerIds": list(sent), "eventTypes": ["view"], "columns": columns}
    answer: Json = api.call("SendEventColumns", request)
    return answer


def customers(api: Client, sent: Data) -> Json:
    upserts = [{"customerId": name, "data": data} for name, data in sent.items()]
    answer: Json = api.call("UpsertCustomers", {"customers": upserts})
    return answer


@pytest.mark.parametrize("send", [rows, lines, columns, customers])
def test_what_is_too_long_or_too_wide_is_refused_alone_and_by_name(
    api: Client, send: Callable[[Client, Data], Json]
) -> None:
    answer = send(api, {"long": TOO_LONG, **LEGAL, "wider": TOO_WIDE})
    assert answer["accepted"] == 2
    assert [(each.get("index", 0), each["field"], each["reason"]) for each in answer["rejected"]] == [
        (0, "data.long", "TOO_LONG"),
        (3, "data", "TOO_MANY_ATTRIBUTES"),
    ]
    condition = test_of("long", "EQUALS", LONGEST)
    rule = {"profile": {"where": condition}} if send is customers else did(where=condition)
    assert api.run(rule) == {"good"}
