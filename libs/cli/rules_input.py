"""How does a rule get in? JSON or YAML, from a file, from stdin (`-`), or inline JSON.

YAML is read as its JSON: dates, times and `NO` stay the strings they look like.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from libs.cli.errors import Failed
from libs.gen.cohort.v1 import rule_pb2


def read_rule(source: str) -> rule_pb2.Rule:
    """Return the rule that `source` names or holds. Raises Failed with one line that says what is wrong."""
    where, text = _text(source)
    content = _parse(where, text)
    if not isinstance(content, dict):
        raise Failed(f'{where}: a rule is an object such as {{"did": {{"eventType": "purchase"}}}}')
    try:
        return json_format.ParseDict(content, rule_pb2.Rule())
    except json_format.ParseError as error:
        raise Failed(f"{where}: {_short(str(error))}") from error


def _text(source: str) -> tuple[str, str]:
    if source.lstrip().startswith("{"):
        return "the rule", source
    if source == "-":
        return "stdin", sys.stdin.read()
    try:
        return source, Path(source).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Failed(
            f"{source}: no such file; a rule is a file, - for stdin, or JSON that starts with {{"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{source}: cannot be read: {error}") from error


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
        return yaml.load(text, AsJson)
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
