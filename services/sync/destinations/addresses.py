"""May we connect to this host? Keeps destinations away from the machine and network the service itself is in.

Whoever may create a destination could otherwise make the service call internal addresses for them. A name is looked
up once, each of its addresses is checked, and the caller connects to one of those, so that a name cannot change its
mind in between. The tables are those of IANA's registries of special-purpose addresses, written out here since what
Python calls global differs between its versions.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from libs import blocking

Address = IPv4Address | IPv6Address
Lookup = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host's name, best first; blocks. Raises OSError, UnicodeError."""


class AddressRefused(Exception):
    """The host must not be connected to. The message is for people."""


class Unresolvable(Exception):
    """The name of the host has no address, now at least."""


LOCALHOST = "localhost"
LOOKUP_SECONDS = 10.0
PRIVATE, LOCAL, METADATA = "private", "link-local", "of a cloud's metadata service"
REFUSED = {
    "0.0.0.0/8": "of this machine",
    "10.0.0.0/8": PRIVATE,
    "100.64.0.0/10": "of a provider's own network",
    "168.63.129.16/32": METADATA,  # Azure's is among the public ones
    "169.254.0.0/16": LOCAL,
    "172.16.0.0/12": PRIVATE,
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "a relay's",
    "192.168.0.0/16": PRIVATE,
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "2001::/23": "of Teredo or another protocol",
    "2001:db8::/32": "for documentation",
    "2002::/16": "of 6to4, which may lead anywhere",
    "3fff::/20": "for documentation",
    "fc00::/7": PRIVATE,
    "fe80::/10": LOCAL,
    "fec0::/10": PRIVATE,
    "ff00::/8": "multicast",
}
_REFUSED = [(ip_network(network), reason) for network, reason in REFUSED.items()]
GLOBAL_UNICAST = IPv6Network("2000::/3")
"""What of IPv6 is given out; everything else is special or not in use."""
NAT64 = IPv6Network("64:ff9b::/96")
"""How the world of IPv4 looks from a network of IPv6 alone: the last 32 bits are the address that counts."""
NEVER = ("169.254.0.0/16", "0.0.0.0/8", "224.0.0.0/4", "fe80::/10", "ff00::/8", "168.63.129.16/32", "::/128")
_NEVER = [ip_network(network) for network in NEVER]
"""Where a name that was allowed does not lead either: who allowed it had a server in mind."""


def check_address(address: Address, *, allow_loopback: bool) -> None:
    """Raise `AddressRefused` unless this is a public address, or a loopback one where those are allowed."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise AddressRefused("its address is of one of this machine's own networks")
        if address in NAT64:
            return check_address(_low(address), allow_loopback=False)
        address = address.ipv4_mapped or address
    if address.is_loopback:
        if allow_loopback:
            return None
        raise AddressRefused(
            "it is this machine itself, which only a server started with --insecure may call"
        )
    for network, reason in _REFUSED:
        if address in network:
            raise AddressRefused(f"its address is {reason}, not public")
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        raise AddressRefused("its address is reserved, not public")
    return None


def _low(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)


def system_lookup(host: str, port: int) -> list[str]:
    """Look a name up as this machine does."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in found]


def normal(host: str) -> str:
    """Return the one form of a host's name or address: lower case, without brackets and the root's dot."""
    return host.strip("[]").lower().removesuffix(".")


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which hosts may be called: public ones, and what whoever starts the server says beside.

    `named` are HOST:PORT, as `--destination-host` has them.
    """

    allow_loopback: bool = False
    named: frozenset[str] = frozenset()
    lookup: Lookup = field(default=system_lookup)

    def resolve(self, host: str, port: int, *, only_named: bool = False) -> list[str]:
        """Return the addresses of a host that may be connected to, best first; blocks.

        With `only_named`, for traffic that is not encrypted, a public host is none of them unless it is named.
        One bad address among several refuses the host. Raises `AddressRefused`, `Unresolvable`.
        """
        name = normal(host)
        named = self.is_named(host, port)
        if only_named and not named and not self.allow_loopback:
            raise AddressRefused(f"the server was not started with --destination-host {host}:{port}")
        addresses, literal = self._addresses(name, port)
        for address in addresses:
            if not named:
                self._check(address, host, port, only_named)
            elif not literal:
                check_named(address)
        return list(dict.fromkeys(map(str, addresses)))

    async def resolved(self, host: str, port: int, *, only_named: bool = False) -> list[str]:
        """Do what `resolve` does, in a thread of its own; a name that is not found in time has no address."""
        resolve = partial(self.resolve, host, port, only_named=only_named)
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                return await blocking.call(resolve)
        except TimeoutError:
            raise Unresolvable(
                f"the name of the host {normal(host)!r} cannot be resolved: no answer within {LOOKUP_SECONDS:g} s"
            ) from None

    def _check(self, address: Address, host: str, port: int, only_named: bool) -> None:
        if not only_named:
            check_address(address, allow_loopback=self.allow_loopback)
        elif not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
            raise AddressRefused(
                f"it is not this machine, and the server was not started with --destination-host {host}:{port}"
            )

    def _addresses(self, name: str, port: int) -> tuple[list[Address], bool]:
        """Return the addresses of a host, and whether it is one itself."""
        try:
            return [ip_address(name)], True
        except ValueError:
            pass
        try:
            found = [ip_address(address) for address in self.lookup(name, port)]
        except (OSError, UnicodeError, ValueError):
            found = []
        if not found:
            raise Unresolvable(f"the name of the host {name!r} cannot be resolved")
        return found, False

    def is_named(self, host: str, port: int) -> bool:
        """Say whether whoever starts the server has named a host."""
        parts = (one.rpartition(":") for one in self.named)
        return f"{normal(host)}:{port}" in {f"{normal(known)}:{at}" for known, _, at in parts}


def is_address(host: str) -> bool:
    """Say whether a host is an address, and no name."""
    try:
        ip_address(normal(host))
    except ValueError:
        return False
    return True


def check_named(address: Address) -> None:
    """Raise `AddressRefused` where a name that was allowed leads to what nobody means by a name."""
    bare: Address = getattr(address, "ipv4_mapped", None) or address
    if any(bare in network for network in _NEVER):
        raise AddressRefused("its name leads to a link-local, metadata or multicast address")
