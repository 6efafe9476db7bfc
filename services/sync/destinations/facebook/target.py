"""How are a page's customers put on and taken off a custom audience? In sessions, batch by batch.

A run has one session for its removals and one for its additions (or for the full set), named by the run, so a
batch that is sent again has the same session and sequence. Sets of rows do not mind a repeat. The audience of a
sync bears the sync's id in its description: an audience that was made and not noted is found again, and none
that somebody else made is ever taken over.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from libs import blocking
from services.sync.destinations.addresses import Hosts
from services.sync.destinations.base import (
    REFUSED,
    Blocked,
    Feed,
    Opening,
    Page,
    Receipt,
    Throttled,
    Unmatchable,
)
from services.sync.destinations.facebook.account import Account
from services.sync.destinations.facebook.graph import Graph
from services.sync.destinations.facebook.reconcile import Outcome, Row, Tally, reconcile
from services.sync.destinations.facebook.rows import Matcher, upload_form
from services.sync.destinations.retrying import Patience, persist
from services.sync.members import Member
from services.sync.model import FacebookSettings, Mode

BATCH_ROWS = 10_000
"""The most rows Meta takes in a request."""
LEAST_USABLE = 100
"""Meta shows ads to an audience from about so many matched people on."""

T = TypeVar("T")
Upload = Callable[[str, Sequence[str], Sequence[Row], Any], Mapping[str, Any]]


class Sessions(msgspec.Struct):
    """How far the sessions of a run are, by the work they do: the last batch of each, and what was answered."""

    sequences: dict[str, int] = {}
    tallies: dict[str, Tally] = {}

    def next(self, work: str) -> int:
        """Return the number of the next batch, from 1."""
        self.sequences[work] = self.sequences.get(work, 0) + 1
        return self.sequences[work]


class FacebookTarget(Feed):
    """An opened ad account. `account` holds its limits, for all syncs that go to it."""

    page_size = BATCH_ROWS
    modes = frozenset(Mode)
    by_key = True

    def __init__(
        self, settings: FacebookSettings, account: Account, patience: Patience, hosts: Hosts
    ) -> None:
        self._settings = settings
        self._account = account
        self._patience = patience
        self._matcher = Matcher(settings)
        self.fields = self._matcher.attributes
        self._graph = Graph(
            settings.ad_account_id,
            settings.access_token,
            settings.graph_url,
            patience,
            self._calling,
            account.note,
            partial(hosts.resolve, only_named=bool(settings.graph_url)),
        )
        self._sessions = Sessions()

    def state(self) -> bytes:
        """Return how far the sessions of the run are."""
        return msgspec.msgpack.encode(self._sessions)

    def restore(self, state: bytes) -> None:
        """Go on in those sessions."""
        if state:
            self._sessions = msgspec.msgpack.decode(state, type=Sessions)

    async def check(self) -> str:
        """Look at the audience, or at the audiences of the account, once."""
        settings = self._settings
        if not settings.audience_id:
            await self._call(partial(self._graph.find, "", most=1), attempts=1)
            return f"ad account act_{settings.ad_account_id} answers; each sync will have an audience made"
        audience = await self._call(partial(self._graph.look, settings.audience_id), attempts=1)
        owner = str(audience.get("account_id", settings.ad_account_id)).removeprefix("act_")
        if owner != settings.ad_account_id:
            raise Blocked(
                "AUDIENCE_GONE",
                f"audience {settings.audience_id} is not one of ad account act_{settings.ad_account_id}",
            )
        return f"audience {settings.audience_id} of ad account act_{settings.ad_account_id} answers"

    def calls(self, page: Page) -> int:
        """Count a call for each schema that rows have, which is one unless keys have been changed."""
        removes = {upload_form(removal.key)[0] for removal in page.removes}
        return len(removes) + len({upload_form(addition.key)[0] for addition in page.adds})

    def calls_beside(self, audience: str) -> int:
        """Count a search and a creation where the audience is still to be made."""
        return 0 if audience or self._settings.audience_id else 2

    async def open(self, opening: Opening) -> str:
        """Return the audience of the destination, or that of the sync, made where it is not there yet."""
        audience = self._settings.audience_id or opening.audience
        if not audience:
            description = f"Kept in step by Cohort, for sync {opening.sync_id}. Do not change this line."

            def find_or_make() -> str:
                found = self._graph.find(description)
                return found or self._graph.create(opening.cohort_name, description)

            audience = await self._call(find_or_make)
        self._account.use(audience)
        return audience

    @property
    def keying(self) -> bytes:
        """The settings that rows depend on, without the token."""
        settings = self._settings
        attributes = sorted(settings.match_attributes.items())
        made_of = (settings.match_keys, attributes, settings.limited_data_use, settings.default_country)
        return msgspec.msgpack.encode(made_of)

    def keys(self, members: Sequence[Member]) -> list[bytes | Unmatchable]:
        """Normalise and hash."""
        return [self._matcher.row(member) for member in members]

    async def send(self, page: Page) -> Receipt:
        """Take off whom the page removes, then put on whom it adds."""
        refused: dict[str, str] = {}
        passing: set[str] = set()
        removes = [(removal.customer_id, removal.key) for removal in page.removes]
        adds = [(addition.customer_id, addition.key) for addition in page.adds]
        kind = "replace" if page.opening.mode is Mode.REPLACE else "add"
        for work, rows, last in (("remove", removes, page.last_removes), (kind, adds, page.last_adds)):
            by_schema = _by_schema(rows)
            for index, (schema, part) in enumerate(by_schema.items()):
                is_last = last and index == len(by_schema) - 1
                outcome = await self._upload(page.opening, work, schema, [row for _, row in part], is_last)
                passing.update(part[place][0] for place in outcome.unclear)
                for place in outcome.refused | outcome.unclear:
                    refused[part[place][0]] = REFUSED
        return Receipt(refused, frozenset(passing))

    async def finish(self, opening: Opening, held: int) -> Sequence[str]:
        """Warn of an audience that is too small to be used."""
        if held >= LEAST_USABLE:
            return ()
        return (
            f"{held} people were uploaded to the audience: Meta shows ads to an audience only where about "
            f"{LEAST_USABLE} are matched",
        )

    async def close(self) -> None:
        """Close the connections."""
        self._graph.close()

    # Uploads

    async def _upload(
        self, opening: Opening, work: str, schema: Sequence[str], rows: Sequence[Row], is_last: bool
    ) -> Outcome:
        """Send one batch of a session, and find out which rows were refused."""
        total = opening.removes if work == "remove" else opening.adds
        session = {
            "session_id": _session_id(opening, work),
            "batch_seq": self._sessions.next(work),
            "last_batch_flag": is_last,
            "estimated_num_total": max(total, len(rows)),
        }
        call = {"add": self._graph.add, "remove": self._graph.remove, "replace": self._graph.replace}[work]
        tally = self._sessions.tallies.setdefault(work, Tally())
        audience = opening.audience

        async def attempt() -> Outcome:
            answer = await self._once(partial(call, audience, schema, rows, session))
            return await reconcile(rows, answer, tally, again, undo)

        async def again(some: Sequence[Row]) -> Mapping[str, Any]:
            same = self._graph.remove if work == "remove" else self._graph.add
            return await self._alone(same, opening, schema, some)

        async def undo(some: Sequence[Row]) -> Mapping[str, Any]:
            other = self._graph.add if work == "remove" else self._graph.remove
            return await self._alone(other, opening, schema, some)

        outcome = await self._persist(attempt)
        tally.sent += len(rows)
        tally.invalid += len(outcome.refused) + len(outcome.unclear)
        return outcome

    async def _alone(
        self, call: Upload, opening: Opening, schema: Sequence[str], rows: Sequence[Row]
    ) -> Mapping[str, Any]:
        """Send rows in a session of their own."""
        number = self._sessions.next("alone")
        session = {
            "session_id": _session_id(opening, f"alone {number}"),
            "batch_seq": 1,
            "last_batch_flag": True,
            "estimated_num_total": len(rows),
        }
        return await self._call(partial(call, opening.audience, schema, rows, session))

    # Calls

    async def _call(self, work: Callable[[], T], attempts: int | None = None) -> T:
        return await self._persist(lambda: self._once(work), attempts)

    async def _persist(self, attempt: Callable[[], Awaitable[T]], attempts: int | None = None) -> T:
        return await persist(attempt, self._patience, "Meta", attempts=attempts, check_going=self.check_going)

    async def _once(self, work: Callable[[], T]) -> T:
        """Call as soon as the account may be called, in a thread, as the SDK blocks.

        Too many calls are for the account to sit out, and with it for everybody who calls it.
        """
        await self._account.admit(self._patience, self.check_going)
        try:
            answer = await blocking.call(work)
        except Throttled as failure:
            self._account.refused(self._patience, failure.retry_after)
            raise Throttled(str(failure), retry_after=0) from None
        self._account.answered()
        return answer

    def _calling(self) -> None:
        self.attempts += 1
        self._account.count()


def _by_schema(rows: Sequence[tuple[str, bytes]]) -> dict[tuple[str, ...], list[tuple[str, Row]]]:
    """Return (customer, row) pairs as they are uploaded, by schema: rows keep the one they went out with."""
    found: dict[tuple[str, ...], list[tuple[str, Row]]] = {}
    for customer_id, key in rows:
        schema, row = upload_form(key)
        found.setdefault(schema, []).append((customer_id, row))
    return found


def _session_id(opening: Opening, work: str) -> int:
    """Return a positive 63-bit number, the same for the same run and work."""
    text = f"{opening.sync_id} {opening.run_id} {work}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1 or 1
