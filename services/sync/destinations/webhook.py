"""How does an HTTP endpoint take members? JSON pages, POSTed, signed, tried again, and never redirected.

The signature is that of Standard Webhooks, made by its own library (https://www.standardwebhooks.com). A
page keeps its `webhook-id` and its bytes over every retry, so that a receiver can tell a repeat. Any 2xx
acknowledges a page; a timeout, a broken connection, 429 and 5xx are tried again; everything else is final.
"""

import asyncio
import contextlib
import email.utils
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
import msgspec
from standardwebhooks import Webhook
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from libs.clock import Clock
from services.sync.destinations.addresses import AddressRefused, Unresolvable, resolve
from services.sync.destinations.base import DeliveryError, Feed, Page
from services.sync.model import WebhookSettings

PAGE_SIZE = 1000
"""The contract's most customers a page, adds and removes together."""
ANSWER_BYTES = 1 << 16
"""How much of an answer is read, so that the connection can be used again; its content is not."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a webhook is borne with. Seconds, but for `attempts`, which counts the first one too."""

    attempts: int = 6
    shortest_wait: float = 1.0
    """The first wait is random up to this, and each wait after that up to twice the one before."""
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0
    """A receiver that asks for a longer pause is not waited for: the next run sends the rest."""
    timeout: float = 30.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Passing(DeliveryError):
    """A failure that may pass. `retry_after` is what the receiver asked for, in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WebhookTarget(Feed):
    """An opened webhook. `clock` dates the signatures."""

    page_size = PAGE_SIZE

    def __init__(
        self, settings: WebhookSettings, patience: Patience, clock: Clock, *, allow_loopback: bool
    ) -> None:
        self._url = httpx.URL(settings.url)
        self._signer = Webhook(settings.signing_secret) if settings.signing_secret else None
        self._patience = patience
        self._clock = clock
        self._allow_loopback = allow_loopback
        self._client = httpx.AsyncClient(
            timeout=patience.timeout,
            follow_redirects=False,
            trust_env=False,  # a proxy would connect for us, to addresses nobody has checked
        )

    async def send(self, page: Page) -> None:
        """POST a page until it is acknowledged, or will not be."""
        content = msgspec.json.encode(_body(page))
        await self._deliver(f"msg_{page.run_id}_{page.number}", content, self._patience.attempts)

    async def check(self) -> str:
        """POST a page without customers that says it is a test, once."""
        page = Page("", "", "", "", 1, 1, (), ())
        content = msgspec.json.encode({**_body(page), "test": True})
        await self._deliver(f"msg_test_{self._clock()}", content, attempts=1)
        signed = "a signed" if self._signer else "an unsigned"
        return f"{self._url.host} took {signed} test page without customers"

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _deliver(self, message_id: str, content: bytes, attempts: int) -> None:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Passing),
            stop=stop_after_attempt(attempts),
            wait=self._wait,
            sleep=self._patience.sleep,
            reraise=True,
        )
        made = 0
        try:
            async for attempt in retrying:
                with attempt:
                    made += 1
                    await self._post(message_id, content)
        except Passing as error:
            times = "once" if made == 1 else f"{made} times"
            raise DeliveryError(
                f"the webhook was called {times} and did not take the page: {error}"
            ) from None

    def _wait(self, state: RetryCallState) -> float:
        """Return how many seconds to wait: what the receiver asked for, or a random, growing time."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Passing) and error.retry_after is not None:
            return error.retry_after
        patience = self._patience
        return float(wait_random_exponential(patience.shortest_wait, patience.longest_wait)(state))

    async def _post(self, message_id: str, content: bytes) -> None:
        self.attempts += 1
        host = self._url.host
        try:
            async with asyncio.timeout(self._patience.timeout):
                status, retry_after = await self._exchange(message_id, content)
        except (TimeoutError, httpx.TimeoutException):
            raise Passing(f"{host} did not answer within {self._patience.timeout:g} s") from None
        except Unresolvable as error:
            raise Passing(str(error)) from None
        except AddressRefused as error:
            raise DeliveryError(f"{host} must not be called: {error}") from None
        except httpx.HTTPError as error:
            distrust = _distrust(error)
            if distrust:
                raise DeliveryError(f"the certificate of {host} is not trusted: {distrust}") from None
            raise Passing(f"the connection to {host} failed ({type(error).__name__})") from None
        if 200 <= status < 300:
            return
        answer = f"{host} answered {status} {_phrase(status)}".rstrip()
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
            if retry_after is not None and retry_after > self._patience.longest_retry_after:
                raise DeliveryError(f"{answer}, and asked to be left alone for {retry_after:.0f} s")
            raise Passing(answer, retry_after)
        hint = "; redirects are not followed" if 300 <= status < 400 else ""
        raise DeliveryError(f"the webhook refused the page: {answer}{hint}")

    async def _exchange(self, message_id: str, content: bytes) -> tuple[int, float | None]:
        """POST to the first address that can be connected to, all having been checked."""
        url = self._url
        port = url.port or (443 if url.scheme == "https" else 80)
        *others, last = await resolve(url.host, port, allow_loopback=self._allow_loopback)
        for address in others:
            with contextlib.suppress(httpx.ConnectError):
                return await self._exchange_at(address, message_id, content)
        return await self._exchange_at(last, message_id, content)

    async def _exchange_at(self, address: str, message_id: str, content: bytes) -> tuple[int, float | None]:
        """POST once; return the status, and Retry-After in seconds."""
        url = self._url
        request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            content=content,
            headers={
                "host": url.netloc.decode(),
                "content-type": "application/json",
                "user-agent": "cohort-sync",
                **self._signature(message_id, content),
            },
            extensions={"sni_hostname": url.raw_host.decode()},  # certificates are for the name
        )
        response = await self._client.send(request, stream=True)
        try:
            received = 0
            async for chunk in response.aiter_raw():
                received += len(chunk)
                if received > ANSWER_BYTES:
                    break
        except httpx.HTTPError:
            pass  # the status has been read, and nothing else counts
        finally:
            await response.aclose()
        return response.status_code, self._retry_after(response.headers.get("retry-after", ""))

    def _signature(self, message_id: str, content: bytes) -> dict[str, str]:
        if self._signer is None:
            return {}
        instant = datetime.fromtimestamp(self._clock() // 1000, UTC)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(instant.timestamp())),
            "webhook-signature": self._signer.sign(message_id, instant, content.decode()),
        }

    def _retry_after(self, header: str) -> float | None:
        """Read Retry-After, seconds or a date; None where it is absent or neither."""
        if header.isascii() and header.isdigit():
            return float(header)
        with contextlib.suppress(ValueError):
            instant = email.utils.parsedate_to_datetime(header)
            return max(0.0, instant.timestamp() - self._clock() / 1000)
        return None


def _distrust(error: BaseException | None) -> str:
    """Return what is wrong with the certificate where that made the connection fail, else nothing."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _body(page: Page) -> dict[str, object]:
    return {
        "syncId": page.sync_id,
        "runId": page.run_id,
        "cohortId": page.cohort_id,
        "cohortName": page.cohort_name,
        "page": page.number,
        "pages": page.pages,
        "adds": [{"customerId": member.entry.customer_id, "data": member.profile} for member in page.adds],
        "removes": [{"customerId": customer_id} for customer_id in page.removes],
    }
