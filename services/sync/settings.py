"""What is a destination, as a request says it? Reads protobuf, refuses what is wrong by its field path.

Paths are those of the JSON form. No message holds a secret. Whether a host may be called is another question:
`services.sync.destinations.opener`.
"""

import base64
import binascii
import os.path
import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from msgspec.structs import replace

from libs.errors import Invalid
from libs.gen.cohort.v1 import sync_pb2
from services.sync.destinations.facebook.keys import BY_NAME, check_keys
from services.sync.destinations.file_places import STORAGE, local_path, scheme_of
from services.sync.incoming import paths_of
from services.sync.model import (
    Destination,
    FacebookSettings,
    FileFormat,
    FileSettings,
    PluginSettings,
    Settings,
    WebhookSettings,
)

MOST_NAME_BYTES = 256
MOST_URL_BYTES = 2048
MOST_TOKEN_BYTES = 1024
HOST = re.compile(rb"[A-Za-z0-9._-]+")
TARGET = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})", re.ASCII)
LAST_PORT = 65_535
DIGITS = re.compile(r"[0-9]{1,32}", re.ASCII)
TOKEN = re.compile(r"[!-~]+", re.ASCII)
COUNTRY = re.compile(r"[A-Za-z]{2}", re.ASCII)
FORMATS = {
    sync_pb2.FileDestination.CSV: FileFormat.CSV,
    sync_pb2.FileDestination.JSON_LINES: FileFormat.JSON_LINES,
    sync_pb2.FileDestination.PARQUET: FileFormat.PARQUET,
}
FACEBOOK = "destination.facebookAds"


def destination_name(name: str) -> str:
    """Check the name of a destination. Raises `Invalid`."""
    if not 1 <= len(name.encode()) <= MOST_NAME_BYTES:
        raise Invalid(
            "INVALID_NAME", f"the name of a destination has 1 to {MOST_NAME_BYTES} bytes", "destination.name"
        )
    return name


def settings(message: sync_pb2.Destination, data_dir: Path) -> Settings:
    """Read what a destination is. Raises `Invalid`."""
    kind = message.WhichOneof("type")
    if kind is None:
        raise Invalid(
            "FIELD_REQUIRED", "say what the destination is: facebookAds, webhook, file or grpc", "destination"
        )
    return check_settings(_READERS[kind](message), data_dir)


def changed_destination(
    message: sync_pb2.Destination, mask: Sequence[str], before: Destination, data_dir: Path
) -> tuple[str, Settings]:
    """Return name and settings with what the mask names taken from the message. Raises `Invalid`."""
    name, after = before.name, before.settings
    kind = _KINDS[type(after)]
    for path in paths_of(mask):
        first, _, field = path.partition(".")
        if path == "name":
            name = destination_name(message.name)
        elif first == kind and (not field or field in _FIELDS[kind]):
            sent = _READERS[kind](message)
            after = replace(
                after, **{own: getattr(sent, own) for own in ([field] if field else _FIELDS[kind])}
            )
        else:
            raise Invalid(
                "INVALID_UPDATE_MASK",
                f"{path!r} of this destination cannot be updated: name can, and "
                f"{', '.join(f'{kind}.{one}' for one in _FIELDS[kind])}; its type stays",
                "updateMask",
            )
    return name, check_settings(after, data_dir)


def check_settings(record: Settings, data_dir: Path) -> Settings:
    """Return settings in their normal form. Raises `Invalid`, without any secret in it."""
    match record:
        case WebhookSettings():
            return _check_webhook(record)
        case FileSettings():
            return _check_file(record, data_dir)
        case FacebookSettings():
            return _check_facebook(record)
        case PluginSettings():
            return _check_plugin(record)


# Reading: as it comes, to be checked when it is whole


def _webhook(message: sync_pb2.Destination) -> Settings:
    return WebhookSettings(message.webhook.url, message.webhook.signing_secret)


def _file(message: sync_pb2.Destination) -> Settings:
    if message.file.format not in FORMATS:
        raise Invalid(
            "FIELD_REQUIRED", "the format of a file is CSV, JSON_LINES or PARQUET", "destination.file.format"
        )
    return FileSettings(message.file.path, FORMATS[message.file.format])


def _facebook(message: sync_pb2.Destination) -> Settings:
    sent = message.facebook_ads
    return FacebookSettings(
        sent.ad_account_id.strip().removeprefix("act_"),
        sent.access_token.strip(),
        tuple(sent.match_keys),
        sent.audience_id.strip(),
        dict(sent.match_attributes),
        sent.limited_data_use,
        sent.default_country.upper(),
        sent.graph_url,
    )


def _plugin(message: sync_pb2.Destination) -> Settings:
    return PluginSettings(message.grpc.target)


_READERS: Mapping[str, Callable[[sync_pb2.Destination], Settings]] = {
    "webhook": _webhook,
    "file": _file,
    "facebook_ads": _facebook,
    "grpc": _plugin,
}
_KINDS: Mapping[type[Settings], str] = {
    WebhookSettings: "webhook",
    FileSettings: "file",
    FacebookSettings: "facebook_ads",
    PluginSettings: "grpc",
}
_FIELDS: Mapping[str, Sequence[str]] = {kind: record.__struct_fields__ for record, kind in _KINDS.items()}
"""Settings have the names they have on the wire."""


# Checking


def _check_webhook(webhook: WebhookSettings) -> WebhookSettings:
    field = "destination.webhook.url"
    if not webhook.url:
        raise Invalid("FIELD_REQUIRED", "a webhook needs a url", field)
    _check_url(webhook.url, field, "the url of a webhook")
    _check_secret(webhook.signing_secret)
    return webhook


def _check_url(text: str, field: str, what: str) -> None:
    """Raise `Invalid` unless this is an http or https URL without user and password."""
    if len(text.encode()) > MOST_URL_BYTES:
        raise Invalid("INVALID_URL", f"a url has at most {MOST_URL_BYTES} bytes", field)
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise Invalid("INVALID_URL", f"{what} cannot be read as one", field) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise Invalid("INVALID_URL", f"{what} begins with http:// or https:// and a host", field)
    if (
        not (HOST.fullmatch(url.raw_host) or _is_address(url.host))
        or url.port == 0
        or (url.port or 1) > LAST_PORT
    ):
        raise Invalid("INVALID_URL", f"{what} has no valid host and port", field)
    if url.userinfo:
        raise Invalid("INVALID_URL", "a url is shown to everybody, so it takes no user and password", field)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _check_secret(secret: str) -> None:
    try:
        key = base64.b64decode(_padded(secret.removeprefix("whsec_")), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if secret and not key:
        raise Invalid(
            "INVALID_SIGNING_SECRET",
            "a signing secret is whsec_ and base64, as Standard Webhooks has it",
            "destination.webhook.signingSecret",
        )


def _padded(text: str) -> str:
    return text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)


def _check_file(file: FileSettings, data_dir: Path) -> FileSettings:
    field, path = "destination.file.path", file.path
    if not path:
        raise Invalid("FIELD_REQUIRED", "a file needs a path", field)
    scheme, local = scheme_of(path), local_path(path)
    if "\0" in path or path.endswith("/") or len(path.encode()) > MOST_URL_BYTES:
        raise Invalid("INVALID_PATH", "the path of a file names a file, not a folder", field)
    if local is None:
        if scheme not in STORAGE:
            known = ", ".join(sorted(STORAGE))
            raise Invalid(
                "INVALID_PATH", f"the URL of a file begins with one of {known}, not {scheme[:32]}", field
            )
        if "::" in path or urlsplit(path).username is not None or "?" in path:
            raise Invalid(
                "INVALID_PATH",
                "the URL of a file is plain: no user or password (it is shown to everybody), no chain, no query",
                field,
            )
        return replace(file, path=scheme + path[len(scheme) :])
    if (scheme and urlsplit(path).netloc) or not os.path.isabs(local):
        raise Invalid("INVALID_PATH", "the path of a file is absolute, or a URL such as s3://…", field)
    if scheme and set("?#") & set(path):
        raise Invalid("INVALID_PATH", "the URL of a file on this machine is its path, without ? and #", field)
    if Path(os.path.realpath(local)).is_relative_to(os.path.realpath(data_dir)):
        raise Invalid("INVALID_PATH", "a file cannot lie in the data folder of Cohort itself", field)
    return file


def _check_facebook(facebook: FacebookSettings) -> FacebookSettings:
    if not DIGITS.fullmatch(facebook.ad_account_id):
        raise Invalid(
            "INVALID_AD_ACCOUNT",
            "an ad account is its digits, with or without act_",
            f"{FACEBOOK}.adAccountId",
        )
    token = facebook.access_token
    if not token:
        raise Invalid("FIELD_REQUIRED", "Facebook Ads needs an access token", f"{FACEBOOK}.accessToken")
    if len(token) > MOST_TOKEN_BYTES or not TOKEN.fullmatch(token):
        raise Invalid(
            "INVALID_TOKEN", "an access token is one word without blanks", f"{FACEBOOK}.accessToken"
        )
    if facebook.audience_id and not DIGITS.fullmatch(facebook.audience_id):
        raise Invalid("INVALID_AUDIENCE", "an audience is its digits", f"{FACEBOOK}.audienceId")
    wrong = check_keys(facebook.match_keys)
    if wrong:
        raise Invalid("INVALID_MATCH_KEYS", wrong, f"{FACEBOOK}.matchKeys")
    unknown = [key for key in facebook.match_attributes if key not in BY_NAME]
    if unknown or not all(facebook.match_attributes.values()):
        raise Invalid(
            "INVALID_MATCH_KEYS",
            f"match attributes are a profile attribute for each of {', '.join(BY_NAME)}",
            f"{FACEBOOK}.matchAttributes",
        )
    if facebook.default_country and not COUNTRY.fullmatch(facebook.default_country):
        raise Invalid(
            "INVALID_COUNTRY", "a country is its two letters, as in DE", f"{FACEBOOK}.defaultCountry"
        )
    if facebook.graph_url:
        _check_url(facebook.graph_url, f"{FACEBOOK}.graphUrl", "the url of a Graph API")
    return facebook


def _check_plugin(plugin: PluginSettings) -> PluginSettings:
    found = TARGET.fullmatch(plugin.target)
    if not found or not 0 < int(found[1]) <= LAST_PORT:
        raise Invalid(
            "INVALID_TARGET",
            "a plug-in is at HOST:PORT, as in plugin.internal:50060",
            "destination.grpc.target",
        )
    return plugin
