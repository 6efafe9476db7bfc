"""Who receives the demo's syncs? A webhook that checks signatures and keeps the members it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass(slots=True)
class Audience:
    """What a receiver holds, and what it was told in each run."""

    members: set[str] = field(default_factory=set)
    added: dict[str, set[str]] = field(default_factory=dict)
    """By run."""
    removed: dict[str, set[str]] = field(default_factory=dict)
    """By run."""
    pages: int = 0
    """Pages with a good signature."""
    refused: int = 0
    """Pages without one."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, page: dict[str, Any]) -> None:
        """Apply a page. A page that comes twice changes nothing more."""
        adds = {one["customerId"] for one in page.get("adds", ())}
        removes = {one["customerId"] for one in page.get("removes", ())}
        with self.lock:
            self.pages += 1
            self.added.setdefault(page["runId"], set()).update(adds)
            self.removed.setdefault(page["runId"], set()).update(removes)
            self.members = (self.members | adds) - removes


@contextmanager
def running_receiver(secret: str) -> Iterator[tuple[str, Audience]]:
    """Run a receiver on a free port; yields its URL and what it holds."""
    audience = Audience()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(audience, Webhook(secret)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/audience", audience
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(audience: Audience, webhook: Webhook) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers 204 to a page whose signature is good, 401 to any other."""

        def do_POST(self) -> None:
            """Take a page. One that names no run is a trial of the destination, which changes nothing."""
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                webhook.verify(body, headers)
                page = json.loads(body)
            except (WebhookVerificationError, ValueError):
                with audience.lock:
                    audience.refused += 1
                self._answer(401)
                return
            if page.get("runId"):
                audience.take(page)
            self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: the demo tells what arrives."""

    return Handler
