"""Which code serves a destination? Opens it by its settings; the one place that knows all types."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from libs.clock import Clock
from libs.errors import Invalid
from services.sync.confine import Confine, anywhere
from services.sync.destinations.addresses import (
    LOCALHOST,
    AddressRefused,
    Hosts,
    Unresolvable,
    is_address,
    normal,
)
from services.sync.destinations.base import DeliveryError, Target
from services.sync.destinations.facebook.account import Accounts
from services.sync.destinations.file import FileTarget
from services.sync.destinations.file_places import OBJECT_STORAGE, TRIAL, local_path, place_of, scheme_of
from services.sync.destinations.plugin import PluginTarget
from services.sync.destinations.retrying import Patience
from services.sync.destinations.webhook import WebhookTarget, host_of
from services.sync.model import (
    Destination,
    FacebookSettings,
    FileSettings,
    PluginSettings,
    Settings,
    WebhookSettings,
)


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens destinations. `hosts` says what beside public hosts they may be at, `confine` where files may lie.

    `accounts` has limits of theirs.
    """

    clock: Clock
    accounts: Accounts
    hosts: Hosts = field(default_factory=Hosts)
    patience: Patience = field(default_factory=Patience)
    confine: Confine = anywhere

    async def open(self, destination: Destination) -> Target:
        """Open a destination; nothing is sent yet. Raises `DeliveryError` where that is not allowed any more."""
        settings = destination.settings
        addresses: Sequence[str] = ()
        if not isinstance(settings, WebhookSettings):  # which checks each time it connects
            try:
                addresses = await self.check_settings(settings)
            except Invalid as error:
                raise DeliveryError(error.message) from None
        match settings:
            case WebhookSettings():
                return WebhookTarget(settings, self.patience, self.clock, self.hosts)
            case FileSettings():
                return FileTarget(settings)
            case PluginSettings():
                if not addresses:
                    raise DeliveryError(f"the name of the plug-in at {settings.target} cannot be resolved")
                return PluginTarget(settings, self.patience, addresses)
            case FacebookSettings():
                return self._facebook(settings)

    def clean(self, destinations: Iterable[Destination]) -> None:
        """Remove what a killed process has left of files, where they may lie; blocks."""
        for destination in destinations:
            if isinstance(destination.settings, FileSettings):
                with suppress(Invalid, OSError):
                    self.confine(destination.settings)
                    place_of(destination.settings.path).clean()

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
        return FacebookTarget(settings, account, self.patience, self.hosts)

    async def check_settings(self, settings: Settings) -> Sequence[str]:
        """Return the addresses to call, all checked; none where it is not up to us, or has none now.

        Raises `Invalid` for a host that must not be called, or a file that must not be written; a name may become
        known later.
        """
        self.confine(settings)
        what, field_path = "", ""
        try:
            match settings:
                case WebhookSettings(url):
                    what, field_path = "the host of the webhook", "destination.webhook.url"
                    return await self.hosts.resolved(*host_of(httpx.URL(url)))
                case FacebookSettings(graph_url=url) if url:
                    what, field_path = "this Graph API", "destination.facebookAds.graphUrl"
                    return await self.hosts.resolved(*host_of(httpx.URL(url)), only_named=True)
                case PluginSettings(target):
                    what, field_path = "the plug-in", "destination.grpc.target"
                    host, _, port = target.rpartition(":")
                    return await self.hosts.resolved(host, int(port), only_named=True)
                case FileSettings(path):
                    what, field_path = "the storage of the file", "destination.file.path"
                    return await self._check_storage(path)
        except AddressRefused as error:
            raise Invalid("HOST_REFUSED", f"{what} must not be called: {error}", field_path) from None
        except Unresolvable:
            pass
        return ()

    async def _check_storage(self, path: str) -> Sequence[str]:
        """Check the host of a storage's URL. The library of the storage connects by itself, to what it finds then.

        So a name counts only where it was allowed by name.
        """
        scheme = scheme_of(path)
        if local_path(path) is not None or scheme in OBJECT_STORAGE:
            return ()
        if scheme == TRIAL and self.hosts.allow_loopback:
            return ()
        parts = urlsplit(path)
        host, port = parts.hostname or scheme, parts.port or 0
        if not (self.hosts.is_named(host, port) or is_address(host) or normal(host) == LOCALHOST):
            raise AddressRefused(f"the server was not started with --destination-host {host}:{port}")
        return await self.hosts.resolved(host, port, only_named=True)
