"""What comes beside a call: API keys, the project's name, a request id."""

from libs.errors import Denied, Missing, Unauthenticated
from libs.rpc.access import Keys
from libs.rpc.calls import WELL_FORMED, request_id
from tests.fuzz.targets import Target

SECRET = "sésame"


class Context:
    """Stands for the context of a call: only its metadata."""

    def __init__(self, metadata: list[tuple[str, str | bytes]]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> list[tuple[str, str | bytes]]:
        """Return it."""
        return self._metadata


def metadata() -> Target:
    """Headers of three kinds, each text or bytes, in any number: no key opens but the one."""
    keys = Keys(operator_secret=SECRET)

    def run(data: bytes) -> None:
        given: list[tuple[str, str | bytes]] = []
        for place, part in enumerate(data.split(b"\0")):
            name = ("authorization", "x-request-id", "cohort-project")[place % 3]
            given.append((name, part if part[:1] == b"\xff" else part.decode(errors="replace")))
        found = request_id(Context(given))  # type: ignore[arg-type]
        assert WELL_FORMED.fullmatch(found)
        bearers = [value for name, value in given if name == "authorization"]
        try:
            keys.identify(given)
        except (Unauthenticated, Denied, Missing):
            assert bearers != [f"Bearer {SECRET}"]
        else:
            assert bearers in ([f"Bearer {SECRET}"], [f"Bearer {SECRET}".encode()])

    return Target(run, [f"Bearer {SECRET}\0page-1\0default".encode(), b"Bearer x", b"Bearer \0\0\xff"])
