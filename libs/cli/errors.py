"""What does a failed command say? One clear line, whatever went wrong; three where a text shows a mistake.

    Failed      the command cannot do what was asked; its text is the line

A failed gRPC call is put in the same form by `explain`.
"""

import grpc

from libs.rpc.errors import Failure


class Failed(Exception):
    """A command cannot do what was asked. Its text says what is wrong and what to do."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def explain(error: grpc.RpcError, targets: list[str]) -> str:
    """Say in one line why a call failed; of a rule's text, with the line and a caret under the mistake.

    `targets` are the addresses this command has spoken to.
    """
    failure = Failure.of(error)
    if is_unreachable(failure):
        named = " or ".join(dict.fromkeys(targets)) or "the server"
        return (
            f"cannot reach {named}: start a server with `cohort serve`, or name one with --target HOST:PORT"
        )
    if failure.code is grpc.StatusCode.UNAUTHENTICATED:
        return f"{failure.message} (--api-key KEY or COHORT_API_KEY)"
    if failure.violations and failure.violations[0][0] == "text":
        return failure.violations[0][1]
    if failure.violations:
        text = "; ".join(w if w.startswith(field) else f"{field}: {w}" for field, w in failure.violations)
    else:
        text = failure.message or failure.code.name
    return " ".join(text.split())


def is_unreachable(failure: Failure) -> bool:
    """Tell a server that is not there from one that is and says UNAVAILABLE with a reason of its own."""
    return failure.code is grpc.StatusCode.UNAVAILABLE and not failure.reason
