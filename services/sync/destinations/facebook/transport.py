"""What goes over the wire to the Graph API, and what counts as an answer? The SDK's HTTP session, tightened.

The SDK puts the parameters of a DELETE into the URL, where 10,000 rows do not fit: here they are form data. It
also takes a 502 page for a success: here whatever is no JSON object, or a failure without an error in it, is no
answer. Redirects and proxies of the environment are not followed, as they would carry the token elsewhere, and a
connection goes to an address that was checked: the name stays in Host, in TLS and in what the certificate must say.
"""

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

TOKEN = re.compile(r"access_token=[^&\s\"']*")
FAILED = 400

Resolve = Callable[[str, int], Sequence[str]]


class NotAnAnswer(Exception):
    """The Graph API did not answer as it does. `retry_after` is in seconds."""

    def __init__(self, status: int, retry_after: float | None = None) -> None:
        super().__init__(f"an answer with status {status} that is not one of the Graph API")
        self.status = status
        self.retry_after = retry_after


class Transport(requests.Session):
    """The session of one opened destination. `observe` is told the headers of every answer.

    `resolve` returns the checked addresses of a host and port, best first.
    """

    def __init__(
        self, calling: Callable[[], None], observe: Callable[[Mapping[str, str]], None], resolve: Resolve
    ) -> None:
        super().__init__()
        self.trust_env = False
        for scheme in ("https://", "http://"):
            self.mount(scheme, Pinned(resolve))
        self._calling = calling
        self._observe = observe

    def request(self, method: Any, url: Any, params: Any = None, data: Any = None, **options: Any) -> Any:  # type: ignore[override]
        """Call, and return what is an answer. Raises `NotAnAnswer`, and the errors of requests."""
        if method == "DELETE":
            params, data = None, params
        self._calling()
        response = super().request(
            method, url, params=params, data=data, **{**options, "allow_redirects": False}
        )
        self._observe(response.headers)
        if not _is_answer(response):
            raise NotAnAnswer(response.status_code, retry_after(response.headers))
        return response


class Pinned(HTTPAdapter):
    """Connects to checked addresses of a host. Each thread has one call at a time."""

    def __init__(self, resolve: Resolve) -> None:
        super().__init__()
        self._resolve = resolve
        self._calling = threading.local()

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Call the first address that can be connected to. Raises what `resolve` does, and the errors of requests."""
        parts = urlsplit(request.url or "")
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        request.headers["Host"] = parts.netloc
        *others, last = self._resolve(host, port)
        for address in others:
            try:
                return self._send_to(address, request, *args, **options)
            except requests.ConnectionError as error:
                if not _never_connected(error):
                    raise
        return self._send_to(last, request, *args, **options)

    def _send_to(self, address: str, *args: Any, **options: Any) -> requests.Response:
        self._calling.address = address
        return super().send(*args, **options)

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the pool of connections to the address at hand, which speaks TLS with the name."""
        place, options = self.build_connection_pool_key_attributes(request, verify, cert)
        name = place["host"].removesuffix(".")
        secure = place["scheme"] == "https"
        names = {"server_hostname": name, "assert_hostname": name} if secure else {}
        return self.poolmanager.connection_from_host(
            **{**place, "host": self._calling.address}, pool_kwargs={**options, **names}
        )


def _never_connected(error: requests.ConnectionError) -> bool:
    """Say whether nothing was sent, so that another address may be tried."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, None where there are none.

    A date is counted from that of the answer, so that our own clock does not matter.
    """
    said = {name.lower(): value for name, value in headers.items()}
    value = said.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    with contextlib.suppress(ValueError, TypeError):
        pause = parsedate_to_datetime(value) - parsedate_to_datetime(said.get("date", ""))
        return max(0.0, pause.total_seconds())
    return None


def _is_answer(response: requests.Response) -> bool:
    try:
        body = response.json()
    except ValueError:
        return False
    if not isinstance(body, dict):
        return False
    error = body.get("error")
    return isinstance(error, dict) or (error is None and response.status_code < FAILED)


class _NoTokens(logging.Filter):
    """Blots out tokens: urllib3 logs the whole URL where its log is switched to DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, without tokens."""
        message = record.getMessage()
        if "access_token=" in message:
            record.msg, record.args = TOKEN.sub("access_token=…", message), ()
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_NoTokens())
