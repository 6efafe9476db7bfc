"""How does an HTTP endpoint take members? JSON pages, POSTed, signed, tried again, and never redirected.

The signature is that of Standard Webhooks, made by its own library (https://www.standardwebhooks.com). A
page keeps its `webhook-id` and its bytes over every retry, so that a receiver can tell a repeat. Any 2xx
acknowledges a page; a timeout, a broken connection, 429 and 5xx are tried again; 401, 403 and 410 pause the
sync; everything else is final.
"""

import asyncio
import contextlib
import email.utils
import ssl
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
import msgspec
from standardwebhooks import Webhook

from libs.clock import Clock
from services.sync.destinations.addresses import AddressRefused, Hosts, Unresolvable
from services.sync.destinations.base import (
    Blocked,
    DeliveryError,
    Feed,
    Opening,
    Page,
    Passing,
    Receipt,
    Untaken,
)
from services.sync.destinations.retrying import Patience, persist
from services.sync.model import WebhookSettings

PAGE_SIZE = 1000
"""The contract's most customers a page, adds and removes together."""
ANSWER_BYTES = 1 << 16
"""How much of an answer is read, so that the connection can be used again; its content is not."""
NEEDS_A_PERSON: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "CREDENTIALS_REFUSED",
    HTTPStatus.FORBIDDEN: "CREDENTIALS_REFUSED",
    HTTPStatus.GONE: "RECEIVER_GONE",
}
"""Answers that stay until somebody changes something, and the reason the sync is paused with."""


class WebhookTarget(Feed):
    """An opened webhook. `clock` dates the signatures; `hosts` says where it may be."""

    page_size = PAGE_SIZE
    sends_profiles = True
    replaces = True

    def __init__(self, settings: WebhookSettings, patience: Patience, clock: Clock, hosts: Hosts) -> None:
        self._url = httpx.URL(settings.url)
        self._signer = Webhook(settings.signing_secret) if settings.signing_secret else None
        self._patience = patience
        self._clock = clock
        self._hosts = hosts
        self._client = httpx.AsyncClient(
            timeout=patience.timeout,
            follow_redirects=False,
            trust_env=False,  # a proxy would connect for us, to addresses nobody has checked
        )

    async def send(self, page: Page) -> Receipt:
        """POST a page until it is acknowledged, or will not be."""
        content = msgspec.json.encode(_body(page))
        await self._deliver(f"msg_{page.opening.run_id}_{page.number}", content, self._patience.attempts)
        return Receipt()

    async def check(self) -> str:
        """POST a page without customers that says it is a test, once."""
        page = Page(Opening("", "", "", ""), 1, 1, (), ())
        content = msgspec.json.encode({**_body(page), "test": True})
        await self._deliver(f"msg_test_{self._clock()}", content, attempts=1)
        signed = "a signed" if self._signer else "an unsigned"
        return f"{self._url.host} took {signed} test page without customers"

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _deliver(self, message_id: str, content: bytes, attempts: int) -> None:
        made_before = self.attempts

        async def post() -> None:
            await self._post(message_id, content, first=self.attempts == made_before)

        await persist(
            post,
            self._patience,
            "the webhook",
            attempts=attempts,
            check_going=self.check_going,
        )

    async def _post(self, message_id: str, content: bytes, *, first: bool) -> None:
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
        if status in NEEDS_A_PERSON:
            raise Blocked(
                NEEDS_A_PERSON[status],
                f"the webhook refused the page: {answer}. Set its url or signing secret right "
                f"(cohort destinations update), then resume the sync",
            )
        hint = "; redirects are not followed" if 300 <= status < 400 else ""
        refused = f"the webhook refused the page: {answer}{hint}"
        raise Untaken(refused) if first else DeliveryError(refused)

    async def _exchange(self, message_id: str, content: bytes) -> tuple[int, float | None]:
        """POST to the first address that can be connected to, all having been checked."""
        *others, last = await self._hosts.resolved(*host_of(self._url))
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
            extensions={"sni_hostname": host_of(url)[0].removesuffix(".")},  # certificates are for the name
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


def host_of(url: httpx.URL) -> tuple[str, int]:
    """Return the host of a URL, as it is looked up and named in TLS, and the port."""
    return url.raw_host.decode(), url.port or (443 if url.scheme == "https" else 80)


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
        "syncId": page.opening.sync_id,
        "runId": page.opening.run_id,
        "cohortId": page.opening.cohort_id,
        "cohortName": page.opening.cohort_name,
        "page": page.number,
        "pages": page.pages,
        "adds": [{"customerId": add.customer_id, "data": add.member.profile} for add in page.adds],
        "removes": [{"customerId": removal.customer_id} for removal in page.removes],
    }
