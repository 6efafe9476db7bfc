"""Which options do servers take? Their types, with what each means, so that they read the same for every service."""

from pathlib import Path
from typing import Annotated

import typer

from libs.logs import Level

DataDir = Annotated[Path, typer.Option(help="Where everything is kept. Made where it does not exist.")]
Listen = Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="For development: ask for no key, listen on loopback only, let destinations be there.",
    ),
]
Plaintext = Annotated[
    bool,
    typer.Option("--allow-plaintext", help="Listen beyond loopback without TLS."),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        envvar="COHORT_SERVER_TLS_CERT",
        help="Encrypt, with this certificate (PEM); read again when it changes.",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(envvar="COHORT_SERVER_TLS_KEY", help="The key of --tls-cert (PEM, no password)."),
]
TlsClientCa = Annotated[
    Path | None,
    typer.Option(
        envvar="COHORT_SERVER_TLS_CLIENT_CA",
        help="Mutual TLS: let only clients in whose certificate these authorities have signed (PEM).",
    ),
]
TimeZone = Annotated[
    str | None,
    typer.Option(metavar="ZONE", help="The IANA zone of calendar days, fixed when the data is made. [UTC]"),
]
CohortTarget = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="The cohort service to ask for members.")
]
IngestTarget = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="The ingest service to ask who was erased. [none: erasures wait]",
        show_default=False,
    ),
]
DestinationHost = Annotated[
    list[str] | None,
    typer.Option(
        "--destination-host",
        metavar="HOST:PORT",
        envvar="COHORT_DESTINATION_HOSTS",
        help="Let destinations be there: plug-ins, other Graph APIs, storage servers, private webhooks. Repeatable.",
    ),
]

Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST:]PORT",
        envvar="COHORT_METRICS",
        help="Serve metrics for Prometheus over HTTP here, on loopback unless a host is named. [off]",
    ),
]

CompactEvery = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0.0,
        help="How often to remove from disk what is left of erased customers, if anything is, beside at the start; "
        "0: only by `cohort compact`.",
    ),
]
DedupeDays = Annotated[
    float | None,
    typer.Option(
        metavar="DAYS",
        min=1 / 1440,
        max=366.0,
        help="How long the first project remembers an event's id. Holds until it is said anew. [7]",
    ),
]
EncryptProfiles = Annotated[
    bool,
    typer.Option(
        "--encrypt-profiles",
        envvar="COHORT_ENCRYPT_PROFILES",
        help="Seal what customers' profiles say, and the string values of events, on disk: in all projects, from now "
        "on for good.",
    ),
]
Limit = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=NUMBER",
        envvar="COHORT_LIMITS",
        help="How much all clients may ask for at once, as in working=64; docs/overload.md lists them. Repeatable.",
    ),
]
LogLevel = Annotated[
    Level, typer.Option(envvar="COHORT_LOG_LEVEL", help="From which level on to log, to stderr.")
]
LogCalls = Annotated[
    Level,
    typer.Option(envvar="COHORT_LOG_CALLS", help="The level of the line that each call gets."),
]

TenantFiles = Annotated[
    Path | None,
    typer.Option(
        "--tenant-files",
        metavar="DIR",
        help="Let projects but the first have file destinations, each in a folder of its name here.",
    ),
]
Files = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Let file destinations of the first project lie in this folder alone. [anywhere but where the server "
        "keeps its own]",
        show_default=False,
    ),
]
