"""Which destinations are there in schedules of faults? The fakes, each with its troubles and what it must hold.

`sends` is everything that was sent, in order, however it was answered: (place in that order, run or session,
number, content).
"""

import hashlib
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import grpc
import msgspec

from services.sync.destinations.base import Opening
from services.sync.destinations.facebook.target import Sessions, _session_id
from services.sync.plans import Place
from tests.fakes.graph import GraphApi, Trouble, error, html, usage
from tests.fakes.plugin import Plugin, plugin
from tests.fakes.webhook import Answer, WebhookReceiver
from tests.faults.sync_service import PAGE

TOKEN = "fault-token"
T = TypeVar("T")
Profiles = Mapping[str, Mapping[str, Any]]
Send = tuple[int, str, int, str]


def sha(text: str) -> str:
    """Return SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _some(dice: random.Random, kinds: list[Callable[[], T]], patience: int) -> list[T]:
    """Return troubles: of all kinds, or one that goes on until a run fails."""
    if dice.random() < 0.5:
        return [dice.choice(kinds)() for _ in range(dice.randrange(1, patience + 2))]
    return [dice.choice(kinds)()] * patience


class Destination(ABC):
    """A fake destination of one schedule."""

    def __init__(self, dice: random.Random, people: list[str]) -> None:
        self.dice = dice
        self.people = people

    async def __aenter__(self) -> "Destination":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The destination as CreateDestination takes it."""

    @abstractmethod
    def calls(self) -> int:
        """Return how many calls there were."""

    @abstractmethod
    def sent(self) -> int:
        """Return how many batches were sent, of whatever run or session."""

    @abstractmethod
    def sends(self, runs: list[str], sync_id: str) -> list[Send]:
        """Return what was sent in these runs."""

    @abstractmethod
    def misbehave(self, patience: int) -> None:
        """Get into trouble at the next calls; `patience` calls in a row fail a run."""

    @abstractmethod
    def behave(self) -> None:
        """Be in no trouble any more."""

    @abstractmethod
    def held(self, sync_id: str) -> object:
        """Return what it holds for a sync."""

    @abstractmethod
    def wanted(self, members: set[str], profiles: Profiles) -> object:
        """Return what it should hold."""

    def acknowledged(self, sync_id: str, run_id: str, place: Place) -> dict[str, int]:
        """Return the last number that has been noted as acknowledged, of each run or session."""
        return {run_id: place.pages}


class Webhook(Destination):
    """A webhook."""

    async def __aenter__(self) -> "Webhook":
        self._receiver = WebhookReceiver().start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._receiver.stop()

    @property
    def settings(self) -> dict[str, Any]:
        return {"webhook": {"url": self._receiver.url}}

    def calls(self) -> int:
        return len(self._receiver.calls)

    def sent(self) -> int:
        return self.calls()

    def sends(self, runs: list[str], sync_id: str) -> list[Send]:
        return [
            (place, call.body["runId"], call.body["page"], json.dumps(call.body))
            for place, call in enumerate(self._receiver.calls)
            if call.status < 400
            or call.status >= 500  # a page refused for good was not taken: it may be drafted anew
        ]

    def misbehave(self, patience: int) -> None:
        dice = self.dice
        kinds: list[Callable[[], Answer]] = [
            lambda: Answer(dice.choice((500, 502, 503)), apply=dice.random() < 0.5),
            lambda: Answer(429, retry_after="0"),
            lambda: Answer(503, hang=True, apply=dice.random() < 0.5),
            lambda: Answer(400),
            lambda: Answer(401, apply=dice.random() < 0.2),
            Answer,
            Answer,
        ]
        self._receiver.misbehave(*_some(dice, kinds, patience))

    def behave(self) -> None:
        self._receiver._state.answers.clear()

    def held(self, sync_id: str) -> object:
        return self._receiver.members(sync_id)

    def wanted(self, members: set[str], profiles: Profiles) -> object:
        return {name: profiles[name] for name in members}


class Facebook(Destination):
    """A custom audience, which refuses some addresses."""

    async def __aenter__(self) -> "Facebook":
        self._graph = GraphApi({TOKEN}, {"42"}, cumulative=self.dice.random() < 0.5).start()
        self._graph.samples = self.dice.random() < 0.5
        self._graph.refuse = {sha(f"{name}@example.com") for name in self.dice.sample(self.people, 3)}
        return self

    async def __aexit__(self, *_: object) -> None:
        self._graph.stop()

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "facebookAds": {
                "adAccountId": "42",
                "accessToken": TOKEN,
                "matchKeys": ["EMAIL"],
                "graphUrl": self._graph.url,
            }
        }

    def calls(self) -> int:
        return len(self._graph.calls)

    def sent(self) -> int:
        return len(self._graph.uploads())

    def sends(self, runs: list[str], sync_id: str) -> list[Send]:
        ours = {session for run_id in runs for session in self._sessions(sync_id, run_id).values()}
        found = []
        for place, call in enumerate(self._graph.uploads()):
            session = str(call.session.get("session_id"))  # none where a kill cut the call short
            if session in ours:  # rows that are told apart go in sessions of their own
                found.append((place, session, call.session["batch_seq"], call.content))
        return found

    def _sessions(self, sync_id: str, run_id: str) -> dict[str, str]:
        opening = Opening(sync_id, run_id, "", "")
        return {work: str(_session_id(opening, work)) for work in ("add", "remove", "replace")}

    def acknowledged(self, sync_id: str, run_id: str, place: Place) -> dict[str, int]:
        sessions = self._sessions(sync_id, run_id)
        state = msgspec.msgpack.decode(place.state, type=Sessions) if place.state else Sessions()
        return {sessions[work]: last for work, last in state.sequences.items() if work in sessions}

    def misbehave(self, patience: int) -> None:
        dice = self.dice
        kinds = [
            lambda: html(502, apply=dice.random() < 0.5),
            lambda: error(2, status=500, apply=dice.random() < 0.5),
            lambda: Trouble(hang=True, apply=dice.random() < 0.5),
            lambda: error(80003, headers=usage(minutes=1)),
            lambda: error(190, apply=dice.random() < 0.2, on="POST users"),
            lambda: error(4711, apply=dice.random() < 0.5),
        ]
        self._graph.misbehave(*_some(dice, kinds, patience))

    def behave(self) -> None:
        self._graph._troubles.clear()

    def held(self, sync_id: str) -> object:
        audiences = self._graph.audiences
        assert len(audiences) <= 1, "a second audience was made"
        return self._graph.values(audiences[0].audience_id, "EMAIL") if audiences else set()

    def wanted(self, members: set[str], profiles: Profiles) -> object:
        addresses = {str(profiles[name].get("email", "")) for name in members}
        return {sha(address) for address in addresses if "@" in address} - self._graph.refuse


class Plug(Destination):
    """A plug-in, which refuses some customers."""

    _served: Plugin

    async def __aenter__(self) -> "Plug":
        self._context = plugin(batch=PAGE)
        self._served = await self._context.__aenter__()
        self._served.refuse = set(self.dice.sample(self.people, 3))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._context.__aexit__(None, None, None)

    @property
    def settings(self) -> dict[str, Any]:
        return {"grpc": {"target": self._served.target}}

    def calls(self) -> int:
        return len(self._served.requests)

    def sent(self) -> int:
        return self.calls()

    def sends(self, runs: list[str], sync_id: str) -> list[Send]:
        requests = enumerate(self._served.requests)
        return [(place, one.run_id, one.batch_seq, str(one)) for place, one in requests]

    def misbehave(self, patience: int) -> None:
        codes = grpc.StatusCode
        passing = [codes.UNAVAILABLE, codes.DEADLINE_EXCEEDED, codes.RESOURCE_EXHAUSTED]
        lasting = [codes.INTERNAL, codes.FAILED_PRECONDITION]
        if self.dice.random() < 0.5:
            self._served.lose_answers = self.dice.randrange(1, patience + 2)
        else:
            troubles = self.dice.choices([*passing, *lasting], k=self.dice.randrange(1, patience + 1))
            self._served.troubles = troubles

    def behave(self) -> None:
        self._served.troubles = []
        self._served.lose_answers = 0

    def held(self, sync_id: str) -> object:
        return self._served.members(self._served.audiences[0]) if self._served.audiences else {}

    def wanted(self, members: set[str], profiles: Profiles) -> object:
        return {
            name: {key: value for key, value in profiles[name].items() if key == "email"}
            for name in members - self._served.refuse
        }


KINDS: tuple[type[Destination], ...] = (Facebook, Webhook, Plug)
