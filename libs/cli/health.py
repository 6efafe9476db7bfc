"""Is a server up and ready? `cohort health`, for health checks of containers and for people."""

import typer
from grpc_health.v1 import health_pb2

from libs.cli.errors import Failed
from libs.cli.output import say
from libs.cli.session import session_of

TIMEOUT_SECONDS = 5.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("health")(health)


def health(context: typer.Context) -> None:
    """Say whether the server at --target serves; exit 0 if it does, 1 if not. Needs no key.

    Example: cohort --target 127.0.0.1:50052 health
    """
    session = session_of(context)
    response = session.health().Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
    if response.status != health_pb2.HealthCheckResponse.SERVING:
        raise Failed(f"{session.target} is up, but does not serve yet")
    say(f"{session.target} serves")
