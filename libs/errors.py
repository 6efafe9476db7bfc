"""What can go wrong with a request, in words that every service shares.

    Fault
    ├── Unauthenticated    no valid API key came with the call
    ├── Denied             the key is valid, and does not open this
    ├── Invalid            the request is wrong and stays wrong; may name a field
    ├── Missing            what the request names does not exist
    ├── Taken              the name or place is in use
    ├── Conflict           somebody else changed it since it was read
    ├── Refused            the state of things forbids it now
    ├── OutOfRange         a revision or position that does not exist, yet or any more
    ├── NotBuilt           the contract has it, this version does not
    ├── Corrupt            what is stored is not what was written; only a backup helps
    ├── Overloaded         no room: try again later
    └── Unavailable        a part that is needed is not there: try again soon

Only `libs.rpc.errors` knows which gRPC status each one is. A message says what was wrong, where, and what to
do; it never holds personal data or a secret.
"""

import traceback
from dataclasses import dataclass
from dataclasses import field as dataclass_field


@dataclass(slots=True, eq=False)
class Fault(Exception):
    """A request that cannot be served. `reason` is UPPER_SNAKE for programs, `message` is for people."""

    reason: str
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(slots=True, eq=False)
class Invalid(Fault):
    """The request is wrong. `field` is the path of the field at fault, where there is one.

    `metadata` says for programs what the message says for people, such as line and column of a text.
    """

    field: str = ""
    metadata: dict[str, str] = dataclass_field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Unauthenticated(Fault):
    """No valid API key came with the call; which way it was not valid is not said."""


@dataclass(slots=True, eq=False)
class Denied(Fault):
    """The key is valid, and does not open this."""


@dataclass(slots=True, eq=False)
class Missing(Fault):
    """What the request names does not exist. `resource` is its type and `name` its id, `field` the path."""

    resource: str = ""
    name: str = ""
    field: str = ""


@dataclass(slots=True, eq=False)
class Taken(Fault):
    """The name or place is in use by the resource of this type and id."""

    resource: str = ""
    name: str = ""


@dataclass(slots=True, eq=False)
class Conflict(Fault):
    """Somebody else changed the resource since it was read."""


@dataclass(slots=True, eq=False)
class Refused(Fault):
    """The state of things forbids it. `metadata` names what stands in the way, for programs."""

    metadata: dict[str, str] = dataclass_field(default_factory=dict)


@dataclass(slots=True, eq=False)
class OutOfRange(Fault):
    """A revision or position that does not exist, yet or any more."""


@dataclass(slots=True, eq=False)
class NotBuilt(Fault):
    """The contract has it, this version does not. `field` is the path of what asked for it."""

    field: str = ""


@dataclass(slots=True, eq=False)
class Corrupt(Fault):
    """What is stored is not what was written, and cannot be derived from anything else."""


@dataclass(slots=True, eq=False)
class Overloaded(Fault):
    """No room. `retry_after` is in seconds."""

    retry_after: float = 1.0


@dataclass(slots=True, eq=False)
class Unavailable(Fault):
    """A part that is needed is not there. `retry_after` is in seconds."""

    retry_after: float = 1.0


def frames(error: BaseException) -> list[str]:
    """Return the files and lines an error came through, innermost last: what a log may hold of it.

    Messages and local variables may not be logged: they could hold personal data or a secret.
    """
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
