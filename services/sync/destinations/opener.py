"""Which code serves a destination? Opens it by its settings; the one place that knows all types."""

from dataclasses import dataclass, field

import httpx

from libs.clock import Clock
from libs.errors import Invalid
from services.sync.destinations.addresses import AddressRefused, Unresolvable, resolve
from services.sync.destinations.base import Target
from services.sync.destinations.file import FileTarget
from services.sync.destinations.webhook import Patience, WebhookTarget
from services.sync.model import Destination, FileSettings, Settings, WebhookSettings


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens destinations. `allow_loopback` lets webhooks be on this machine."""

    clock: Clock
    allow_loopback: bool = False
    patience: Patience = field(default_factory=Patience)

    def open(self, destination: Destination) -> Target:
        """Open a destination; nothing is sent yet."""
        match destination.settings:
            case WebhookSettings() as webhook:
                return WebhookTarget(webhook, self.patience, self.clock, allow_loopback=self.allow_loopback)
            case FileSettings() as file:
                return FileTarget(file)

    async def check_settings(self, settings: Settings) -> None:
        """Raise `Invalid` for a webhook that must not be called; a name may become known later."""
        if not isinstance(settings, WebhookSettings):
            return
        try:
            await resolve(httpx.URL(settings.url).host, 0, allow_loopback=self.allow_loopback)
        except AddressRefused as error:
            raise Invalid(
                "HOST_REFUSED",
                f"the host of the webhook must not be called: {error}",
                "destination.webhook.url",
            ) from None
        except Unresolvable:
            return
