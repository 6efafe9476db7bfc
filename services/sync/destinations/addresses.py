"""May we connect to this host? Keeps webhooks away from the machine and network the service itself is in.

Whoever may create a destination could otherwise make the service call internal addresses for them. Names are
resolved and each address is checked; the caller then connects to the checked address, so that a name cannot
change its mind in between.
"""

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address


class AddressRefused(Exception):
    """The host must not be connected to. The message is for people."""


class Unresolvable(Exception):
    """The name of the host has no address, now at least."""


def check_address(address: IPv4Address | IPv6Address, *, allow_loopback: bool) -> None:
    """Raise `AddressRefused` unless this is a public address, or a loopback one where those are allowed."""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_loopback:
        if allow_loopback:
            return
        raise AddressRefused(
            "it is this machine itself, which only a server started with --insecure may call"
        )
    if not address.is_global or address.is_multicast:
        raise AddressRefused("its address is private, link-local or reserved, not public")


async def resolve(host: str, port: int, *, allow_loopback: bool) -> list[str]:
    """Return the addresses of `host`, best first. Raises `AddressRefused`, `Unresolvable`.

    One bad address among several refuses the host.
    """
    try:
        addresses = [ip_address(host)]
    except ValueError:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Unresolvable(f"the name of the host {host!r} cannot be resolved") from None
        addresses = [ip_address(info[4][0]) for info in found]
    for address in addresses:
        check_address(address, allow_loopback=allow_loopback)
    return list(dict.fromkeys(map(str, addresses)))


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which hosts beside public ones may be called: what whoever starts the server says, not who uses it.

    `named` are HOST:PORT in lower case, for plug-ins and other Graph APIs, whose traffic is not encrypted.
    """

    allow_loopback: bool = False
    named: frozenset[str] = frozenset()

    async def check_named(self, host: str, port: int) -> None:
        """Raise `AddressRefused` unless this host was named, or is this machine where that is allowed.

        Raises `Unresolvable` as well.
        """
        if f"{host}:{port}".lower() in self.named:
            return
        if not self.allow_loopback:
            raise AddressRefused(f"the server was not started with --destination-host {host}:{port}")
        for address in await resolve(host, port, allow_loopback=True):
            if not ip_address(address).is_loopback:
                raise AddressRefused(
                    f"it is not this machine, and the server was not started with "
                    f"--destination-host {host}:{port}"
                )
