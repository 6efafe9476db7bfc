"""How is a server started? `cohort serve`, and each service on its own."""

import asyncio
import ipaddress
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from libs.cli.errors import Failed
from libs.cli.options import MasterKeyFile
from libs.cli.parts import keep_private
from libs.cli.serve_options import (
    CohortTarget,
    CompactEvery,
    DataDir,
    DedupeDays,
    DestinationHost,
    EncryptProfiles,
    Files,
    IngestTarget,
    Insecure,
    Limit,
    Listen,
    LogCalls,
    LogLevel,
    Metrics,
    Plaintext,
    TenantFiles,
    TimeZone,
    TlsCert,
    TlsClientCa,
    TlsKey,
)
from libs.cli.session import session_of
from libs.logs import Level
from libs.rpc.tls import ClientTls, ServerTls, TlsError

if TYPE_CHECKING:  # a command that serves imports what it needs, the others start faster
    from libs.storage.master_key import MasterKey
    from services.sync.confine import Places

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while others wait: a tenth of the default, for steady latencies."""

MOST_PORT = 65_535
SHORT_KEY = 16
"""Characters below which a key of one's own can be guessed."""
DAY_MS = 86_400_000
DEFAULT_DATA = Path("data")
DEFAULT_LISTEN = "127.0.0.1:50051"


@dataclass(frozen=True, slots=True)
class Guards:
    """What the command line says about overload and logs."""

    limits: tuple[str, ...]
    log_level: Level
    log_calls: Level


def register(app: typer.Typer) -> None:
    """Add `serve`, `ingest serve`, `cohort serve` and `sync serve`."""
    app.command("serve")(serve)
    for name, command, help_text in (
        ("ingest", ingest, "The ingest service on its own."),
        ("cohort", cohort, "The cohort service on its own."),
        ("sync", sync, "The sync service on its own."),
    ):
        group = typer.Typer(help=help_text, no_args_is_help=True)
        group.callback()(_group)
        group.command("serve")(command)
        app.add_typer(group, name=name)


def _group() -> None:
    """Make a command group of a single command."""


def serve(
    data_dir: DataDir = DEFAULT_DATA,
    listen: Listen = DEFAULT_LISTEN,
    time_zone: TimeZone = None,
    dedupe_days: DedupeDays = None,
    compact_every: CompactEvery = 3600.0,
    insecure: Insecure = False,
    allow_plaintext: Plaintext = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    destination_host: DestinationHost = None,
    files: Files = None,
    tenant_files: TenantFiles = None,
    metrics: Metrics = None,
    master_key_file: MasterKeyFile = None,
    encrypt_profiles: EncryptProfiles = False,
    limit: Limit = None,
    log_level: LogLevel = Level.INFO,
    log_calls: LogCalls = Level.DEBUG,
) -> None:
    """Run everything in one process on one port: ingest, cohort and sync.

    Prints `listening on HOST:PORT` when it is ready. SIGTERM or Ctrl-C lets calls under way end, then exits 0.
    COHORT_API_KEY is a key of the operator, who may do everything; `cohort keys create` makes further ones.

    Example: cohort serve --data-dir data --insecure
    """
    from libs.cli import compose

    hosts = tuple(destination_host or ())
    _run(
        compose.serve_all,
        data_dir,
        listen,
        insecure,
        allow_plaintext,
        tls=_server_tls(tls_cert, tls_key, tls_client_ca),
        time_zone=time_zone,
        dedupe_days=dedupe_days,
        compact_every=compact_every,
        hosts=hosts,
        folders=(files, tenant_files),
        metrics=metrics,
        master_key_file=master_key_file,
        encrypt_profiles=encrypt_profiles,
        guards=Guards(tuple(limit or ()), log_level, log_calls),
    )


def ingest(
    data_dir: DataDir = DEFAULT_DATA,
    listen: Listen = DEFAULT_LISTEN,
    time_zone: TimeZone = None,
    dedupe_days: DedupeDays = None,
    compact_every: CompactEvery = 3600.0,
    insecure: Insecure = False,
    allow_plaintext: Plaintext = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    metrics: Metrics = None,
    master_key_file: MasterKeyFile = None,
    encrypt_profiles: EncryptProfiles = False,
    limit: Limit = None,
    log_level: LogLevel = Level.INFO,
    log_calls: LogCalls = Level.DEBUG,
) -> None:
    """Run the ingest service: takes events, and is the only process that writes the event log.

    Example: cohort ingest serve --data-dir data --listen 127.0.0.1:50051 --insecure
    """
    from libs.cli import compose

    _run(
        compose.serve_ingest,
        data_dir,
        listen,
        insecure,
        allow_plaintext,
        tls=_server_tls(tls_cert, tls_key, tls_client_ca),
        time_zone=time_zone,
        dedupe_days=dedupe_days,
        compact_every=compact_every,
        metrics=metrics,
        master_key_file=master_key_file,
        encrypt_profiles=encrypt_profiles,
        guards=Guards(tuple(limit or ()), log_level, log_calls),
    )


def cohort(
    data_dir: DataDir = DEFAULT_DATA,
    listen: Listen = "127.0.0.1:50052",
    insecure: Insecure = False,
    allow_plaintext: Plaintext = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    metrics: Metrics = None,
    master_key_file: MasterKeyFile = None,
    limit: Limit = None,
    log_level: LogLevel = Level.INFO,
    log_calls: LogCalls = Level.DEBUG,
) -> None:
    """Run the cohort service: reads the event log in the same data directory and answers who is in.

    Waits for the log where the ingest service has not made it yet.

    Example: cohort cohort serve --data-dir data --listen 127.0.0.1:50052 --insecure
    """
    from libs.cli import compose

    guards = Guards(tuple(limit or ()), log_level, log_calls)
    _run(
        compose.serve_cohort,
        data_dir,
        listen,
        insecure,
        allow_plaintext,
        tls=_server_tls(tls_cert, tls_key, tls_client_ca),
        metrics=metrics,
        master_key_file=master_key_file,
        guards=guards,
    )


def sync(
    context: typer.Context,
    cohort_target: CohortTarget,
    ingest_target: IngestTarget = "",
    data_dir: DataDir = DEFAULT_DATA,
    listen: Listen = "127.0.0.1:50053",
    insecure: Insecure = False,
    allow_plaintext: Plaintext = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    destination_host: DestinationHost = None,
    files: Files = None,
    tenant_files: TenantFiles = None,
    metrics: Metrics = None,
    master_key_file: MasterKeyFile = None,
    limit: Limit = None,
    log_level: LogLevel = Level.INFO,
    log_calls: LogCalls = Level.DEBUG,
) -> None:
    """Run the sync service: keeps destinations in step with the cohorts of a cohort service.

    Example: cohort sync serve --cohort-target 127.0.0.1:50052 --ingest-target 127.0.0.1:50051 --insecure
    """
    from libs.cli import compose

    hosts = tuple(destination_host or ())
    _run(
        compose.serve_sync,
        data_dir,
        listen,
        insecure,
        allow_plaintext,
        client_tls=session_of(context).tls,
        tls=_server_tls(tls_cert, tls_key, tls_client_ca),
        cohort_target=cohort_target,
        ingest_target=ingest_target,
        hosts=hosts,
        folders=(files, tenant_files),
        metrics=metrics,
        master_key_file=master_key_file,
        guards=Guards(tuple(limit or ()), log_level, log_calls),
    )


def _run(
    serving: Callable[..., Awaitable[None]],
    data_dir: Path,
    listen: str,
    insecure: bool,
    allow_plaintext: bool,
    *,
    tls: ServerTls | None,
    client_tls: ClientTls | None = None,
    guards: Guards,
    time_zone: str | None = None,
    dedupe_days: float | None = None,
    cohort_target: str = "",
    ingest_target: str = "",
    hosts: tuple[str, ...] = (),
    folders: tuple[Path | None, Path | None] = (None, None),
    metrics: str | None = None,
    master_key_file: Path | None = None,
    encrypt_profiles: bool = False,
    compact_every: float = 0.0,
) -> None:
    """Check the options, then serve until told to stop."""
    from structlog import get_logger

    from libs import tracing
    from libs.cli.process import Options, Process
    from libs.errors import Fault
    from libs.logs import configure, take_over, watch_loop
    from libs.rpc.limits import UnknownLimitError, read_limits
    from libs.storage.failures import StorageError

    api_key = None if insecure else _operators_key()
    _check_listen(listen, insecure, allow_plaintext or tls is not None)
    try:
        limits = read_limits(guards.limits)
    except UnknownLimitError as error:
        raise Failed(f"--limit: {error}") from None
    configure(guards.log_level)
    if api_key and len(api_key) < SHORT_KEY:
        get_logger().warning(
            "COHORT_API_KEY is short", advice="openssl rand -base64 32 makes one nobody guesses"
        )
    take_over()
    _allow_files()
    keep_private()
    sys.setswitchinterval(SWITCH_SECONDS)
    options = Options(
        data_dir.absolute(),
        listen,
        api_key,
        insecure,
        time_zone,
        cohort_target,
        hosts,
        places=_places(*folders, tls, master_key_file),
        metrics=_metrics_address(metrics, insecure, allow_plaintext),
        master=_master_key(master_key_file),
        encrypt_profiles=encrypt_profiles,
        limits=limits,
        call_level=guards.log_calls.value,
        compact_every=compact_every,
        dedupe_window=None if dedupe_days is None else round(dedupe_days * DAY_MS),
        ingest_target=ingest_target,
        tls=tls,
        client_tls=client_tls,
    )

    async def main() -> None:
        watch_loop(asyncio.get_running_loop())
        await serving(Process(options))

    try:
        tracing.start(os.environ)
        asyncio.run(main())
    except (StorageError, Fault, OSError, TlsError, tracing.TracingFault) as error:
        raise Failed(str(error)) from error
    finally:
        tracing.stop()


def _places(
    files: Path | None, tenant_files: Path | None, tls: ServerTls | None, master_key_file: Path | None
) -> "Places":
    """Return where files may lie: never where keys are read from."""
    from libs.storage.master_key import FILE_VARIABLE
    from services.sync.confine import Places

    named = os.environ.get(FILE_VARIABLE)
    keys = [*(tls.files() if tls else ()), master_key_file, Path(named) if named else None]
    first, tenants = (each.absolute() if each else None for each in (files, tenant_files))
    return Places(tenants, first, tuple(each.absolute() for each in keys if each))


def _server_tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> ServerTls | None:
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise Failed("--tls-cert and --tls-key go together, and --tls-client-ca with them")
    return ServerTls(cert, key, client_ca)


def _check_listen(listen: str, insecure: bool, allow_plaintext: bool) -> None:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > MOST_PORT:
        raise Failed(f"--listen is HOST:PORT, as in {DEFAULT_LISTEN}, not {listen}")
    if _is_loopback(host):
        return
    if insecure:
        raise Failed(f"--insecure listens on loopback only, not on {host}")
    if not allow_plaintext:
        raise Failed(
            f"{host} is beyond this machine and nothing would be encrypted: give --tls-cert and --tls-key, listen on "
            f"127.0.0.1, or say --allow-plaintext where the network is private"
        )


def _master_key(path: Path | None) -> "MasterKey | None":
    from libs.storage import master_key

    try:
        return master_key.given(os.environ, path)
    except master_key.KeyFault as error:
        raise Failed(str(error)) from error


def _metrics_address(metrics: str | None, insecure: bool, allow_plaintext: bool) -> tuple[str, int] | None:
    """Return the host and port of --metrics, which may be a port alone: loopback."""
    if metrics is None:
        return None
    host, _, port = metrics.rpartition(":")
    if not port.isdecimal() or int(port) > MOST_PORT:
        raise Failed(f"--metrics is PORT or HOST:PORT, as in 9464, not {metrics}")
    bare = host.strip("[]") or "127.0.0.1"
    if not _is_loopback(bare) and insecure:
        raise Failed(f"--insecure listens on loopback only, and --metrics is on {bare}")
    if not _is_loopback(bare) and not allow_plaintext:
        raise Failed(
            f"metrics are not encrypted and know no key, and {bare} is beyond this machine: give a port alone, or "
            f"say --allow-plaintext where the network is private"
        )
    return bare, int(port)


def _operators_key() -> str | None:
    """Return COHORT_API_KEY, as a client can send it."""
    key = os.environ.get("COHORT_API_KEY") or None
    if key and not (key.isascii() and key.isprintable() and key == key.strip()):
        raise Failed(
            "COHORT_API_KEY has a blank at an end, a line's end or a character that no client can send"
        )
    return key


def _allow_files() -> None:
    """Let the process open as many files as it may: each project takes a dozen."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _is_loopback(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
