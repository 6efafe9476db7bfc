"""How is a paged list read? Page by page, or joined to one response."""

from collections.abc import Callable, Iterator
from typing import Any

LARGEST_PAGE = 10_000
"""Items a page when everything is read: the most a page holds."""


def listing(call: Callable[[Any], Any], request: Any, *fields: str, limit: int, everything: bool) -> Any:
    """Return one page of at most `limit` items, or all pages joined. `request` is changed on the way."""
    request.page_size = LARGEST_PAGE if everything else limit
    return joined(call, request, *fields) if everything else call(request)


def pages(call: Callable[[Any], Any], request: Any) -> Iterator[Any]:
    """Yield the responses of a paged call, first to last. `request` is changed on the way."""
    while True:
        response = call(request)
        yield response
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token


def joined(call: Callable[[Any], Any], request: Any, *fields: str) -> Any:
    """Return the first response of a paged call with `fields` of all later pages appended to its own."""
    following = pages(call, request)
    whole = next(following)
    for response in following:
        for field in fields:
            getattr(whole, field).extend(getattr(response, field))
    whole.ClearField("next_page_token")
    return whole
