"""Which calls of the Graph API are made? Meta's SDK on our transport, each failure told as ours.

Blocks: call it in a thread. The SDK is used without its globals (`FacebookAdsApi.init` would set a default
account and send crash reports to Meta) and without its normaliser, which hashes blanks and drops accents.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import requests
from facebook_business.adobjects.adaccount import AdAccount
from facebook_business.adobjects.customaudience import CustomAudience
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookError, FacebookRequestError
from facebook_business.session import FacebookSession

from services.sync.destinations.addresses import AddressRefused, Unresolvable
from services.sync.destinations.base import DeliveryError, Passing, Throttled
from services.sync.destinations.facebook.failures import TOO_MANY_REQUESTS, ApiError, judge
from services.sync.destinations.facebook.transport import NotAnAnswer, Resolve, Transport, retry_after
from services.sync.destinations.retrying import Patience

LISTED = 200
"""Audiences asked for at a time when one is looked for."""

T = TypeVar("T")


class Graph:
    """One ad account, seen with one token. `calling` is told of every call, `observe` of its headers."""

    def __init__(
        self,
        account_id: str,
        access_token: str,
        graph_url: str,
        patience: Patience,
        calling: Callable[[], None],
        observe: Callable[[Mapping[str, str]], None],
        resolve: Resolve,
    ) -> None:
        self._account_id = account_id
        timeouts = (patience.timeout, patience.upload_timeout)
        session = FacebookSession(access_token=access_token, timeout=timeouts)
        self._transport = Transport(calling, observe, resolve)
        self._transport.verify = session.requests.verify
        self._transport.params = session.requests.params
        session.requests = self._transport
        if graph_url:
            session.GRAPH = graph_url.rstrip("/")
        self._api = FacebookAdsApi(session)

    def look(self, audience_id: str) -> Mapping[str, Any]:
        """Read an audience: its id, name and account."""
        audience = CustomAudience(audience_id, api=self._api)
        read = self._try(lambda: audience.api_get(fields=["id", "name", "account_id", "subtype"]))
        return dict(read.export_all_data())

    def find(self, description: str, *, most: int | None = None) -> str:
        """Return the audience of the account that is described so, "" where there is none.

        Looks at `most` audiences where that is given.
        """
        account = AdAccount(f"act_{self._account_id}", api=self._api)

        def search() -> str:
            fields, params = ["id", "name", "description"], {"limit": min(most or LISTED, LISTED)}
            for seen, audience in enumerate(account.get_custom_audiences(fields=fields, params=params)):
                if audience.get("description") == description:
                    return str(audience["id"])
                if most is not None and seen + 1 >= most:
                    break
            return ""

        return self._try(search)

    def create(self, name: str, description: str) -> str:
        """Make an audience and return its id."""
        account = AdAccount(f"act_{self._account_id}", api=self._api)
        params = {
            "name": name,
            "description": description,
            "subtype": CustomAudience.Subtype.custom,
            "customer_file_source": CustomAudience.CustomerFileSource.user_provided_only,
        }
        made = self._try(lambda: account.create_custom_audience(params=params))
        if not made.get("id"):
            raise Passing("Meta made an audience and did not say which")
        return str(made["id"])

    def add(
        self, audience_id: str, schema: Sequence[str], rows: Sequence[list[object]], session: Any
    ) -> Mapping[str, Any]:
        """Add rows and return what became of them."""
        audience = CustomAudience(audience_id, api=self._api)
        return self._upload(
            lambda: audience.add_users(list(schema), rows, is_raw=True, pre_hashed=True, session=session)
        )

    def remove(
        self, audience_id: str, schema: Sequence[str], rows: Sequence[list[object]], session: Any
    ) -> Mapping[str, Any]:
        """Remove rows and return what became of them."""
        audience = CustomAudience(audience_id, api=self._api)
        return self._upload(
            lambda: audience.remove_users(list(schema), rows, is_raw=True, pre_hashed=True, session=session)
        )

    def replace(
        self, audience_id: str, schema: Sequence[str], rows: Sequence[list[object]], session: Any
    ) -> Mapping[str, Any]:
        """Put rows in place of all there are, together with those of the same session."""
        params = CustomAudience.format_params(
            list(schema), rows, is_raw=True, pre_hashed=True, session=session
        )
        path = (audience_id, "usersreplace")
        return self._upload(lambda: self._api.call("POST", path, params=params))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _upload(self, call: Callable[[], Any]) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self._try(call).json()
        return answer

    def _try(self, call: Callable[[], T]) -> T:
        """Call, and tell a failure as ours, without a word of the SDK's, which hold token and rows."""
        try:
            return call()
        except FacebookRequestError as error:
            raise _judged(error) from None
        except NotAnAnswer as error:
            raise _unreadable(error) from None
        except AddressRefused as error:
            raise DeliveryError(f"the Graph API must not be called: {error}") from None
        except Unresolvable as error:
            raise Passing(str(error)) from None
        except requests.Timeout:
            raise Passing("Meta did not answer in time") from None
        except requests.exceptions.SSLError:
            raise DeliveryError("the certificate of the Graph API is not trusted") from None
        except requests.RequestException as error:
            raise Passing(f"the connection to Meta failed ({type(error).__name__})") from None
        except (FacebookError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise Passing(f"the answer of Meta cannot be read ({type(error).__name__})") from None


def _judged(error: FacebookRequestError) -> DeliveryError:
    said = ApiError(
        _whole(error.http_status()),
        _whole(error.api_error_code()),
        _whole(error.api_error_subcode()),
        error.api_transient_error() is True,
    )
    return judge(said, retry_after(error.http_headers()))


def _unreadable(error: NotAnAnswer) -> DeliveryError:
    """An HTML page of a proxy or an outage may pass, whatever its status; a redirect will not."""
    said = f"Meta answered {error.status} with something that is no answer"
    if 300 <= error.status < 400:
        return DeliveryError(said)
    if error.status == TOO_MANY_REQUESTS:
        return Throttled(f"{said}: too many calls", error.retry_after)
    return Passing(said, error.retry_after)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
