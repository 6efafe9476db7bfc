"""Who receives webhooks in tests? A real HTTP server in a thread, which misbehaves on demand.

Usable from synchronous and asynchronous code, and by hand: `python -m tests.fakes.webhook --port 9000`.

    with WebhookReceiver(secret=SECRET) as receiver:
        receiver.misbehave(Answer(500), Answer(429, retry_after="3"))   # the next two calls
        ...
        receiver.members("syn_1")      # who that sync has delivered and not removed
"""

import argparse
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from tests.fakes.loopback import Loopback


@dataclass(frozen=True)
class Answer:
    """How to answer one call. `hang` keeps it open until the receiver stops or `release` is called."""

    status: int = 204
    retry_after: str = ""
    location: str = ""
    hang: bool = False
    apply: bool = False
    """Whether the page counts all the same, as where an answer is lost on its way."""


@dataclass(frozen=True)
class Call:
    """One POST as it came in. `verified` is None where the receiver has no secret."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    verified: bool | None
    status: int


@dataclass
class _State:
    calls: list[Call] = field(default_factory=list)
    pages: list[dict[str, Any]] = field(default_factory=list)
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: deque[Answer] = field(default_factory=deque)


class WebhookReceiver(Loopback):
    """Takes pages, checks signatures where it has a `secret`, and keeps the members of each sync.

    A page with a wrong signature is answered 401. A page that came before (by webhook-id) is not applied
    again. Everything may be called from any thread.
    """

    def __init__(self, secret: str | None = None, port: int = 0, *, quiet: bool = True) -> None:
        self._verifier = Webhook(secret) if secret else None
        self._state = _State()
        self._quiet = quiet
        self._changed = threading.Condition()
        super().__init__(port, self._handler())

    @property
    def url(self) -> str:
        """Where to POST to."""
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def calls(self) -> list[Call]:
        """Every call, in order, however it was answered."""
        with self._changed:
            return list(self._state.calls)

    @property
    def pages(self) -> list[dict[str, Any]]:
        """The bodies that were acknowledged, in order."""
        with self._changed:
            return list(self._state.pages)

    def members(self, sync_id: str) -> dict[str, Any]:
        """Return the profiles by customer id that a sync has added and not removed."""
        with self._changed:
            return dict(self._state.members.get(sync_id, {}))

    def misbehave(self, *answers: Answer) -> None:
        """Answer the next calls so, one each."""
        with self._changed:
            self._state.answers.extend(answers)

    def wait_for(self, condition: Callable[["WebhookReceiver"], bool], timeout: float = 10.0) -> None:
        """Block until `condition` of this receiver holds. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout):
                raise TimeoutError("the webhook receiver did not get there")

    def _verify(self, body: bytes, headers: dict[str, str]) -> bool | None:
        if self._verifier is None:
            return None
        try:
            self._verifier.verify(body, headers)
        except WebhookVerificationError:
            return False
        return True

    def _receive(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        verified = self._verify(body, headers)
        page = json.loads(body)
        with self._changed:
            answer = self._state.answers.popleft() if self._state.answers else Answer()
            if verified is False:
                answer = Answer(401)
            if 200 <= answer.status < 300 or answer.apply:
                self._apply(page)
            self._state.calls.append(Call(path, headers, page, verified, answer.status))
            self._changed.notify_all()
        if answer.hang:
            self._released.wait()
        return answer

    def _apply(self, page: dict[str, Any]) -> None:
        self._state.pages.append(page)
        members = self._state.members.setdefault(page["syncId"], {})
        for removed in page["removes"]:
            members.pop(removed["customerId"], None)
        for added in page["adds"]:
            members[added["customerId"]] = added["data"]
        if not self._quiet:
            print(f"+{len(page['adds'])} -{len(page['removes'])} = {len(members)} ({page['cohortName']})")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = receiver._receive(self.path, headers, body)
                self.send_response(answer.status)
                if answer.retry_after:
                    self.send_header("retry-after", answer.retry_after)
                if answer.location:
                    self.send_header("location", answer.location)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: pages are told by the receiver."""

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    return  # the client hung up, as it does where it does not wait for an answer

        return Handler


def main() -> None:
    """Receive until interrupted, and print what each page changed."""
    parser = argparse.ArgumentParser(description="Receive the pages of webhook syncs.")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--secret", help="whsec_…; without it signatures are not checked")
    options = parser.parse_args()
    with WebhookReceiver(options.secret, options.port, quiet=False) as receiver:
        print(f"receiving at {receiver.url}")
        threading.Event().wait()


if __name__ == "__main__":
    main()
