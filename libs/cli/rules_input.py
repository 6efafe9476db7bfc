"""How does a rule get in? In text form, JSON or YAML: as it is, from a file, or from stdin (`-`).

The text form is the server's to read. YAML is read as its JSON: dates, times and `NO` stay the strings they
look like.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from libs.cli.errors import Failed
from libs.gen.cohort.v1 import cohort_pb2, rule_pb2

STRUCTURED = (".json", ".yaml", ".yml")
FILES = (*STRUCTURED, ".rule", ".txt")
"""What a file with a rule is called; of another name it is one if it is there."""
AS_TREE = re.compile(
    r"(?:\s*(?:#.*|---\s*))*\s*(?:\{|[\"']?(?:all|any|not|did|profile|cohort|sequence)[\"']?\s*:)"
)
"""How JSON and YAML of a rule begin, and no text does."""


def read_rule(source: str, stub: Any) -> rule_pb2.Rule:
    """Return the rule that `source` names or holds; a text is parsed by the CohortService of `stub`."""
    found = read_source(source)
    return parsed(found, stub) if isinstance(found, str) else found


def parsed(text: str, stub: Any) -> rule_pb2.Rule:
    """Return the rule that a text means, as the CohortService of `stub` reads it."""
    rule: rule_pb2.Rule = stub.ParseRule(cohort_pb2.ParseRuleRequest(text=text)).rule
    return rule


def read_source(source: str) -> rule_pb2.Rule | str:
    """Return the rule that `source` names or holds, or its text form as it is.

    Raises Failed with one line that says what is wrong.
    """
    where, text = _text(source)
    if not (AS_TREE.match(text) or where.endswith(STRUCTURED)):
        return text
    content = _parse(where, text)
    if not isinstance(content, dict):
        raise Failed(f'{where}: a rule is an object such as {{"did": {{"eventType": "purchase"}}}}')
    try:
        return json_format.ParseDict(content, rule_pb2.Rule())
    except json_format.ParseError as error:
        raise Failed(f"{where}: {_short(str(error))}") from error


def read_ids(source: str) -> list[str]:
    """Return the customer ids in a file, or in stdin (`-`): one a line, empty lines left out. Raises Failed."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{source}: cannot be read: {error}") from error
    return [line for line in text.replace("\r\n", "\n").split("\n") if line]


def _text(source: str) -> tuple[str, str]:
    if source == "-":
        return "stdin", sys.stdin.read()
    if not _is_file(source):
        return "the rule", source
    try:
        return source, Path(source).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Failed(
            f'{source}: no such file; a rule is a file, - for stdin, or a text such as "purchase in last 7 days"'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{source}: cannot be read: {error}") from error


def _is_file(source: str) -> bool:
    try:
        return source.endswith(FILES) or Path(source).is_file()
    except OSError:  # longer than any path
        return False


def _parse(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        as_json = f"{error.msg}, line {error.lineno} column {error.colno}"
    import yaml  # only where it is needed: it costs the start 20 ms

    class AsJson(yaml.SafeLoader):
        """Reads plain scalars as JSON would: null, true, false, numbers, and all else as strings."""

        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    AsJson.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
    AsJson.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
    digits = list("-0123456789")
    AsJson.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), digits)
    number = re.compile(r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$")
    AsJson.add_implicit_resolver("tag:yaml.org,2002:float", number, digits)
    try:
        return yaml.load(text, AsJson)  # nosec B506 # AsJson is a SafeLoader
    except yaml.YAMLError as error:
        if text.lstrip().startswith("{"):
            raise Failed(f"{where}: not JSON: {as_json}") from error
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise Failed(
            f"{where}: neither JSON nor YAML: {getattr(error, 'problem', 'bad text')}{place}"
        ) from error


def _short(message: str) -> str:
    """Keep of protobuf's message what helps: without the list of all fields."""
    return " ".join(message.split(" Available Fields")[0].split()).rstrip(".")
