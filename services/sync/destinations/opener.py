"""Which code serves a destination? Opens it by its settings; the one place that knows all types."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from libs.clock import Clock
from libs.errors import Invalid
from services.sync.destinations.addresses import AddressRefused, Hosts, Unresolvable, resolve
from services.sync.destinations.base import DeliveryError, Target
from services.sync.destinations.facebook.account import Accounts
from services.sync.destinations.file import FileTarget
from services.sync.destinations.file_places import scheme_of
from services.sync.destinations.plugin import PluginTarget
from services.sync.destinations.retrying import Patience
from services.sync.destinations.webhook import WebhookTarget
from services.sync.model import (
    Destination,
    FacebookSettings,
    FileSettings,
    PluginSettings,
    Settings,
    WebhookSettings,
)

OBJECT_STORAGE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "ocilake"})
"""Where a URL names a bucket and no host, so that anybody may name one. Others are for --destination-host."""


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens destinations. `hosts` says what beside public hosts they may be at, `accounts` has limits of theirs."""

    clock: Clock
    accounts: Accounts
    hosts: Hosts = field(default_factory=Hosts)
    patience: Patience = field(default_factory=Patience)

    async def open(self, destination: Destination) -> Target:
        """Open a destination; nothing is sent yet. Raises `DeliveryError` where that is not allowed any more."""
        settings = destination.settings
        if not isinstance(settings, WebhookSettings):  # which checks each time it connects
            try:
                await self.check_settings(settings)
            except Invalid as error:
                raise DeliveryError(error.message) from None
        match settings:
            case WebhookSettings():
                allowed = self.hosts.allow_loopback
                return WebhookTarget(settings, self.patience, self.clock, allow_loopback=allowed)
            case FileSettings():
                return FileTarget(settings)
            case PluginSettings():
                return PluginTarget(settings, self.patience)
            case FacebookSettings():
                return self._facebook(settings)

    def _facebook(self, settings: FacebookSettings) -> Target:
        try:
            from services.sync.destinations.facebook.target import (
                FacebookTarget,
            )  # 0.3 s, for those who use it
        except ImportError as error:
            raise DeliveryError(
                f"Facebook Ads needs {error.name}, which is not installed here: install cohort[facebook]"
            ) from None
        account = self.accounts.account(settings.graph_url, settings.ad_account_id)
        return FacebookTarget(settings, account, self.patience)

    async def check_settings(self, settings: Settings) -> None:
        """Raise `Invalid` for a host that must not be called; a name may become known later."""
        what, field_path = "", ""
        try:
            match settings:
                case WebhookSettings(url):
                    what, field_path = "the host of the webhook", "destination.webhook.url"
                    await resolve(httpx.URL(url).host, 0, allow_loopback=self.hosts.allow_loopback)
                case FacebookSettings(graph_url=url) if url:
                    what, field_path = "this Graph API", "destination.facebookAds.graphUrl"
                    parts = urlsplit(url)
                    port = parts.port or (443 if parts.scheme == "https" else 80)
                    await self.hosts.check_named(parts.hostname or "", port)
                case PluginSettings(target):
                    what, field_path = "the plug-in", "destination.grpc.target"
                    host, _, port_text = target.rpartition(":")
                    await self.hosts.check_named(host.strip("[]"), int(port_text))
                case FileSettings(path):
                    what, field_path = "the storage of the file", "destination.file.path"
                    await self._check_storage(path)
        except AddressRefused as error:
            raise Invalid("HOST_REFUSED", f"{what} must not be called: {error}", field_path) from None
        except Unresolvable:
            return

    async def _check_storage(self, path: str) -> None:
        scheme = scheme_of(path)
        if scheme in ("", "file", "local") or scheme in OBJECT_STORAGE:
            return
        if scheme == "memory" and self.hosts.allow_loopback:
            return
        parts = urlsplit(path)
        await self.hosts.check_named(parts.hostname or scheme, parts.port or 0)
