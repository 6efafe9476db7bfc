"""What is the `cohort` command? Its groups, its global options, and how every failure ends.

Exit codes: 0 done, 1 failed, 2 the command line is wrong or an import kept nothing, 130 stopped with Ctrl-C.
"""

from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from typer.core import TyperGroup

from libs.cli import (
    backup,
    catalog,
    cohorts,
    compact,
    compare,
    customers,
    destinations,
    health,
    history,
    keys,
    projects,
    rules,
    run,
    secrets,
    serve,
    status,
    syncs,
    verify,
    watching,
)
from libs.cli import explain as explain_command
from libs.cli.errors import Failed, explain
from libs.cli.importing import command as importing
from libs.cli.output import console, note
from libs.cli.session import DEFAULT_TARGET, Session
from libs.rpc.tls import ClientTls, TlsError

HELP = """Turn what customers do into groups to act on: import events, run a rule, save it, keep an audience
in step.

Every command speaks gRPC to --target, so it works against any deployment.

Try: cohort import events.csv, and then: cohort run 'purchase at least 2 times in last 30 days'
"""


class Commands(TyperGroup):
    """The commands, and the one place where their failures become lines."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; print `error: …` and exit as the failure says."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            console(stderr=True).show_cursor()  # a progress bar may have hidden it
            note("stopped")
            raise typer.Exit(130) from None
        except Failed as error:
            note(f"error: {error}")
            raise typer.Exit(error.exit_code) from error
        except TlsError as error:
            note(f"error: {error}")
            raise typer.Exit(1) from error
        except grpc.RpcError as error:
            targets = ctx.obj.targets() if isinstance(ctx.obj, Session) else []
            note(f"error: {explain(error, targets)}")
            raise typer.Exit(1) from error


app = typer.Typer(
    name="cohort",
    cls=Commands,
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    context: typer.Context,
    target: Annotated[
        str, typer.Option(envvar="COHORT_TARGET", metavar="HOST:PORT", help="The server.")
    ] = DEFAULT_TARGET,
    ingest_target: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The ingest service, where it is elsewhere.")
    ] = None,
    cohort_target: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The cohort service, where it is elsewhere.")
    ] = None,
    sync_target: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The sync service, where it is elsewhere.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="COHORT_API_KEY", help="The API key, where one is set.")
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", envvar="COHORT_TLS", help="Encrypt, trusting the system's authorities.")
    ] = False,
    tls_ca: Annotated[
        Path | None,
        typer.Option(envvar="COHORT_TLS_CA", help="Encrypt, trusting the authorities in this PEM file."),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(envvar="COHORT_TLS_CERT", help="For mutual TLS: the own certificate, in PEM."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(envvar="COHORT_TLS_KEY", help="For mutual TLS: its key, in PEM.")
    ] = None,
) -> None:
    """Take the global options."""
    given = tls or tls_ca or tls_cert or tls_key
    own = ClientTls(tls_ca, tls_cert, tls_key) if given else None
    context.obj = Session(target, ingest_target, cohort_target, sync_target, api_key, own)
    context.call_on_close(context.obj.close)


serve.register(app)
health.register(app)
importing.register(app)
run.register(app)
rules.register(app)
cohorts.register(app)
history.register(app)
compare.register(app)
explain_command.register(app)
watching.register(app)
catalog.register(app)
compact.register(app)
status.register(app)
verify.register(app)
backup.register(app)
app.add_typer(keys.app, name="keys")
app.add_typer(projects.app, name="projects")
app.add_typer(customers.app, name="customers")
app.add_typer(destinations.app, name="destinations")
app.add_typer(syncs.app, name="syncs")
app.add_typer(secrets.app, name="secrets")


def main() -> None:
    """Run the command line: the `cohort` console script. Not without asserts, which say what must be so."""
    if not __debug__:
        note("error: Cohort does not run without its assertions: leave out -O and PYTHONOPTIMIZE")
        raise SystemExit(2)
    app()


if __name__ == "__main__":
    main()
