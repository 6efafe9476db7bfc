"""What does Meta's Graph API do with custom audiences? A real HTTP server that checks, keeps sets, and misbehaves.

Takes the calls of the facebook-business SDK, unchanged, through `session.GRAPH`. Everything may be called from
any thread; by hand: `python -m tests.fakes.graph --port 9001 --token TOKEN`.

    with GraphApi(tokens={"token"}) as graph:
        graph.misbehave(html(502), error(80003, headers=usage(minutes=1)), Trouble(hang=True, apply=True))
        ...
        graph.people("120000000001")         # the rows an audience holds
"""

import argparse
import json
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.loopback import Loopback

HASHED = {"EMAIL", "PHONE", "GEN", "DOBY", "DOBM", "DOBD", "FN", "LN", "FI", "CT", "ST", "ZIP", "COUNTRY"}
PLAIN = {"MADID", "EXTERN_ID"}
OPTIONS = {"DATA_PROCESSING_OPTIONS"}
SHA256 = re.compile(r"[0-9a-f]{64}")
MADID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HASH_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MOST_ROWS = 10_000
MOST_URL = 8_192
MOST_SAMPLES = 100
PATH = re.compile(r"/v\d+\.\d+/(act_\d+|\d+)(?:/(customaudiences|users|usersreplace))?/?")

Row = frozenset[tuple[str, str]]
"""A row of an audience: (key, value) pairs that are not empty."""


@dataclass(frozen=True)
class Trouble:
    """How to misbehave at one call. With nothing set but `hang`, the answer comes when `release` is called."""

    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    apply: bool = False
    """Whether the call does its work all the same."""
    on: str = ""
    """Only at such calls, such as "DELETE users"; others go ahead of it."""


def html(status: int = 502, apply: bool = False, on: str = "") -> Trouble:
    """Answer with the page of a proxy."""
    page = "<html><body>Sorry, success is not available: Service outage</body></html>"
    return Trouble(status, page, "text/html", apply=apply, on=on)


def error(
    code: int,
    subcode: int = 0,
    *,
    status: int = 400,
    transient: bool = False,
    message: str = "",
    headers: Mapping[str, str] | None = None,
    apply: bool = False,
    on: str = "",
) -> Trouble:
    """Answer with an error as the Graph API words it."""
    body = {
        "message": message or f"(#{code}) said",
        "type": "OAuthException",
        "code": code,
        "fbtrace_id": "A1",
    }
    if subcode:
        body["error_subcode"] = subcode
    if transient:
        body["is_transient"] = True
    return Trouble(status, json.dumps({"error": body}), headers=dict(headers or {}), apply=apply, on=on)


def usage(minutes: int, tier: str = "development_access", percent: int = 100) -> dict[str, str]:
    """The header by which Meta says how long to leave an ad account alone."""
    entry = {
        "type": "custom_audience",
        "call_count": percent,
        "total_cputime": 25,
        "total_time": 25,
        "estimated_time_to_regain_access": minutes,
        "ads_api_access_tier": tier,
    }
    return {"X-Business-Use-Case-Usage": json.dumps({"112233": [entry]})}


@dataclass(frozen=True)
class Call:
    """One call as it came in; `problem` is why it was refused. `session`, `rows` and `content` are of uploads."""

    method: str
    edge: str
    node: str
    url: str
    session: dict[str, Any]
    schema: list[str]
    rows: int
    problem: str
    content: str = ""


@dataclass
class Audience:
    """A custom audience."""

    audience_id: str
    account: str
    name: str
    description: str
    rows: set[Row] = field(default_factory=set)


@dataclass
class _Session:
    work: str
    last_seq: int = 0
    ended: bool = False
    staged: set[Row] = field(default_factory=set)


class _Refusal(Exception):
    """A call that the API refuses, with this code."""

    def __init__(self, code: int, message: str, subcode: int = 0) -> None:
        super().__init__(message)
        self.trouble = error(code, subcode, message=message)


class GraphApi(Loopback):
    """The part of the Graph API that keeps custom audiences of the ad accounts `accounts`.

    `refuse` are values whose rows are answered as invalid; `samples` says whether they are shown.
    """

    def __init__(
        self,
        tokens: set[str],
        accounts: set[str] | None = None,
        *,
        port: int = 0,
        page: int = 25,
        cumulative: bool = False,
    ) -> None:
        self.tokens = tokens
        self.accounts = accounts
        self.page = page
        self.cumulative = cumulative
        """Whether num_received and num_invalid_entries are those of the session so far."""
        self.refuse: set[str] = set()
        self.blocked: set[str] = set()
        """Audiences whose people may not be changed, until somebody has an appeal granted."""
        self.samples = True
        self.usage: dict[str, str] = {}
        """Headers of every answer."""
        self._audiences: dict[str, Audience] = {}
        self._sessions: dict[tuple[str, int], _Session] = {}
        self._counts: dict[tuple[str, int], list[int]] = {}
        self._calls: list[Call] = []
        self._troubles: deque[Trouble] = deque()
        self._changed = threading.Condition()
        super().__init__(port, _handler(self))

    @property
    def url(self) -> str:
        """What to set as graph_url."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[Call]:
        """Every call, in order, however it was answered."""
        with self._changed:
            return list(self._calls)

    def uploads(self) -> list[Call]:
        """The calls that brought rows, in order."""
        return [call for call in self.calls if call.edge in ("users", "usersreplace")]

    @property
    def audiences(self) -> list[Audience]:
        """The audiences there are, oldest first."""
        with self._changed:
            return list(self._audiences.values())

    def add_audience(self, account: str, name: str, description: str = "") -> str:
        """Make an audience, as somebody else would, and return its id."""
        with self._changed:
            return self._make(account, name, description).audience_id

    def people(self, audience_id: str) -> set[Row]:
        """Return the rows an audience holds."""
        with self._changed:
            return set(self._audiences[audience_id].rows)

    def values(self, audience_id: str, key: str) -> set[str]:
        """Return the values of one key in an audience."""
        return {value for row in self.people(audience_id) for name, value in row if name == key}

    def misbehave(self, *troubles: Trouble) -> None:
        """Answer the next calls so, one each."""
        with self._changed:
            self._troubles.extend(troubles)

    # Answering

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: str) -> Trouble:
        """Do what a call asks, or misbehave."""
        parts = urlsplit(url)
        asked = {**parse_qs(parts.query), **parse_qs(body)}
        params = {name: values[-1] for name, values in asked.items()}
        found = PATH.fullmatch(parts.path)
        node, edge = (found[1], found[2] or "") if found else ("", "")
        with self._changed:
            trouble = self._next_trouble(f"{method} {edge}")
            problem, said = "", Trouble(404, "<html>Not found</html>", "text/html")
            if found and (trouble is None or trouble.apply):
                try:
                    if len(url) > MOST_URL:
                        said = Trouble(414, "<html>URI too long</html>", "text/html")
                    else:
                        self._check_token(params, headers)
                        said = Trouble(body=json.dumps(self._do(method, node, edge, params)))
                except _Refusal as refusal:
                    problem, said = str(refusal), refusal.trouble
            self._calls.append(_call(method, node, edge, url, params, problem))
            self._changed.notify_all()
        if trouble is None:
            return said
        if trouble.hang:
            self._released.wait()
            return said if trouble.apply else Trouble(503, "<html></html>", "text/html")
        return trouble

    def _next_trouble(self, what: str) -> Trouble | None:
        if self._troubles and (not self._troubles[0].on or what.startswith(self._troubles[0].on)):
            return self._troubles.popleft()
        return None

    def _check_token(self, params: Mapping[str, str], headers: Mapping[str, str]) -> None:
        bearer = headers.get("authorization", "").removeprefix("Bearer ").removeprefix("OAuth ")
        token = params.get("access_token") or bearer
        if token not in self.tokens:
            raise _Refusal(190, f"Malformed access token {token}", 463)

    def _do(self, method: str, node: str, edge: str, params: Mapping[str, str]) -> dict[str, Any]:
        if node.startswith("act_") and self.accounts is not None and node[4:] not in self.accounts:
            raise _Refusal(100, f"Unsupported request. Object with ID '{node}' does not exist", 33)
        match method, edge:
            case "GET", "customaudiences":
                return self._list(node, params)
            case "POST", "customaudiences":
                return self._create(node, params)
            case "GET", "":
                return self._show(self._audience(node), params)
            case ("POST" | "DELETE", "users") | ("POST", "usersreplace"):
                return self._upload(method, edge, self._audience(node), params)
        raise _Refusal(100, "Unsupported request")

    def _audience(self, audience_id: str) -> Audience:
        if audience_id not in self._audiences:
            raise _Refusal(100, f"Unsupported request. Object with ID '{audience_id}' does not exist", 33)
        return self._audiences[audience_id]

    def _list(self, node: str, params: Mapping[str, str]) -> dict[str, Any]:
        mine = [one for one in self._audiences.values() if one.account == node[4:]]
        start, size = int(params.get("after") or 0), min(int(params.get("limit") or 25), self.page)
        shown = mine[start : start + size]
        answer: dict[str, Any] = {"data": [self._show(one, params) for one in shown]}
        if start + size < len(mine):
            answer["paging"] = {"cursors": {"after": str(start + size)}, "next": "https://nowhere.invalid/"}
        return answer

    def _show(self, audience: Audience, params: Mapping[str, str]) -> dict[str, Any]:
        everything = {
            "id": audience.audience_id,
            "name": audience.name,
            "description": audience.description,
            "account_id": audience.account,
            "subtype": "CUSTOM",
            "approximate_count_lower_bound": len(audience.rows),
        }
        wanted = {"id", *params.get("fields", "").split(",")}
        return {name: value for name, value in everything.items() if name in wanted}

    def _create(self, node: str, params: Mapping[str, str]) -> dict[str, Any]:
        if not params.get("name") or params.get("subtype") != "CUSTOM":
            raise _Refusal(100, "(#100) Invalid parameter")
        if "customer_file_source" not in params:
            raise _Refusal(100, "(#100) Missing customer_file_source", 1870053)
        return {"id": self._make(node[4:], params["name"], params.get("description", "")).audience_id}

    def _make(self, account: str, name: str, description: str) -> Audience:
        audience = Audience(str(120_000_000_001 + len(self._audiences)), account, name, description)
        self._audiences[audience.audience_id] = audience
        return audience

    # Uploads

    def _upload(
        self, method: str, edge: str, audience: Audience, params: Mapping[str, str]
    ) -> dict[str, Any]:
        if audience.audience_id in self.blocked:
            raise _Refusal(100, "Audience Upload Blocked", 1713230)
        payload = json.loads(params.get("payload", "{}"))
        schema, data = payload.get("schema"), payload.get("data")
        if not isinstance(schema, list) or not set(schema) <= HASHED | PLAIN | OPTIONS:
            raise _Refusal(100, "(#100) Invalid schema")
        if not isinstance(data, list) or not 0 < len(data) <= MOST_ROWS:
            raise _Refusal(100, f"(#100) 1 to {MOST_ROWS} rows a request")
        work = f"{method} {edge}"
        session_id, session = self._check_session(audience, work, params, len(data))
        read = [self._read(schema, row) for row in data]
        good = {row for row in read if row is not None}
        bad = [data[place] for place, row in enumerate(read) if row is None]
        if work == "POST usersreplace":
            session.staged |= good
            if session.ended:
                audience.rows = set(session.staged)
        elif method == "POST":
            audience.rows |= good
        else:
            audience.rows -= good
        counts = self._counts.setdefault((audience.audience_id, session_id), [0, 0])
        counts[0] += len(data)
        counts[1] += len(bad)
        received, invalid = counts if self.cumulative else (len(data), len(bad))
        return {
            "audience_id": audience.audience_id,
            "session_id": str(session_id),
            "num_received": received,
            "num_invalid_entries": invalid,
            "invalid_entry_samples": _samples(bad) if self.samples else {},
        }

    def _check_session(
        self, audience: Audience, work: str, params: Mapping[str, str], rows: int
    ) -> tuple[int, _Session]:
        said = json.loads(params.get("session", "null"))
        if not isinstance(said, dict):
            raise _Refusal(100, "(#100) Missing session")
        session_id, seq, last = said.get("session_id"), said.get("batch_seq"), said.get("last_batch_flag")
        if not isinstance(session_id, int) or not 0 < session_id < 1 << 63:
            raise _Refusal(100, "(#100) session_id is a positive 64-bit number")
        if not isinstance(seq, int) or not isinstance(last, bool):
            raise _Refusal(100, "(#100) batch_seq is a number and last_batch_flag true or false")
        if not isinstance(said.get("estimated_num_total"), int) or said["estimated_num_total"] < rows:
            raise _Refusal(100, "(#100) estimated_num_total is less than the rows")
        session = self._sessions.setdefault((audience.audience_id, session_id), _Session(work))
        if session.work != work:
            raise _Refusal(100, "(#100) A session has one kind of operation")
        if not 1 <= seq <= session.last_seq + 1:
            raise _Refusal(100, f"(#100) batch_seq {seq} behind {session.last_seq}")
        if seq > session.last_seq and session.ended:
            raise _Refusal(100, "(#100) The session has had its last batch")
        session.last_seq = max(seq, session.last_seq)
        session.ended = session.ended or last
        return session_id, session

    def _read(self, schema: list[str], row: object) -> Row | None:
        """Return a row as it is kept, None for one that is invalid."""
        if not isinstance(row, list) or len(row) != len(schema):
            return None
        pairs = [(key, value) for key, value in zip(schema, row, strict=True) if key not in OPTIONS and value]
        options = [value for key, value in zip(schema, row, strict=True) if key in OPTIONS]
        fine = all(_is_fine(key, value) for key, value in pairs) and all(o in ([], ["LDU"]) for o in options)
        if not pairs or not fine or any(value in self.refuse for _, value in pairs):
            return None
        return frozenset(pairs)


def _is_fine(key: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    if key == "MADID":
        return MADID.fullmatch(value) is not None
    return key == "EXTERN_ID" or (SHA256.fullmatch(value) is not None and value != HASH_OF_NOTHING)


def _samples(bad: list[Any]) -> dict[str, str]:
    cells = [next((cell for cell in row if isinstance(cell, str) and cell), "") for row in bad[:MOST_SAMPLES]]
    return {cell: "invalid" for cell in cells if cell}


def _call(method: str, node: str, edge: str, url: str, params: Mapping[str, str], problem: str) -> Call:
    payload, session = json.loads(params.get("payload", "{}")), json.loads(params.get("session", "{}"))
    rows = payload.get("data") or []
    return Call(
        method,
        edge,
        node,
        url,
        session,
        payload.get("schema") or [],
        len(rows),
        problem,
        params.get("payload", ""),
    )


def _handler(graph: GraphApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = graph.answer(self.command, self.path, headers, body)
            content = said.body.encode()
            self.send_response(said.status)
            for name, value in {**graph.usage, **said.headers}.items():
                self.send_header(name, value)
            self.send_header("content-type", said.content_type)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _take  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: paths hold tokens."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                return  # the client hung up, as it does where it does not wait for an answer

    return Handler


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Stand in for Meta's Graph API.")
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--token", default="token", help="the access token it takes")
    options = parser.parse_args()
    with GraphApi({options.token}, port=options.port) as graph:
        print(f"Graph API at {graph.url}, with access token {options.token}")
        threading.Event().wait()


if __name__ == "__main__":
    main()
