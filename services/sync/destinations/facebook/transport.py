"""What goes over the wire to the Graph API, and what counts as an answer? The SDK's HTTP session, tightened.

The SDK puts the parameters of a DELETE into the URL, where 10,000 rows do not fit: here they are form data. It
also takes a 502 page for a success: here whatever is no JSON object, or a failure without an error in it, is no
answer. Redirects and proxies of the environment are not followed, as they would carry the token elsewhere.
"""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import requests

TOKEN = re.compile(r"access_token=[^&\s\"']*")
FAILED = 400


class NotAnAnswer(Exception):
    """The Graph API did not answer as it does. `retry_after` is in seconds."""

    def __init__(self, status: int, retry_after: float | None = None) -> None:
        super().__init__(f"an answer with status {status} that is not one of the Graph API")
        self.status = status
        self.retry_after = retry_after


class Transport(requests.Session):
    """The session of one opened destination. `observe` is told the headers of every answer."""

    def __init__(self, calling: Callable[[], None], observe: Callable[[Mapping[str, str]], None]) -> None:
        super().__init__()
        self.trust_env = False
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


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, None where there are none."""
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None


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
