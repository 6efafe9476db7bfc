"""Which hosts may be called? Public ones, however an address is written; others where they were named."""

import asyncio
import socket

import pytest

from services.sync.destinations.addresses import AddressRefused, Hosts, Unresolvable, system_lookup

STRICT, DEVELOPER = Hosts(), Hosts(allow_loopback=True)
PUBLIC = "93.184.215.14"
INTERNAL = [
    "0.0.0.0",  # connects to this machine
    "0.1.2.3",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",  # a metadata service
    "100.127.255.255",
    "168.63.129.16",  # a metadata service with a public address
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",  # IPv4-compatible
    "::10.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:0.0.0.0",
    "::ffff:0:127.0.0.1",  # translated
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:a9fe:a9fe::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "2002:a9fe:a9fe::1",
    "2002:5db8:d70e::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # a metadata service
    "fe80::1",
    "fe80::1%1",
    "fe80::1%eth0",
    "2606:4700::1%1",
    "fec0::1",
    "ff02::1",
    "[fe80::1]",
    "[::ffff:10.0.0.1]",
    "FD00::1",
]
LOOPBACK = [
    "127.0.0.1",
    "127.9.9.9",
    "127.255.255.254",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "localhost",
    "LOCALHOST",
    "localhost.",
]
ODD = [
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "0x7f.0x0.0x0.0x1",
    "00000177.0.0.1",
]
"""127.0.0.1, as the resolvers of many systems read it."""


@pytest.mark.parametrize("host", INTERNAL)
@pytest.mark.parametrize("hosts", [STRICT, DEVELOPER])
def test_an_internal_address_never_is_however_it_is_written(host: str, hosts: Hosts) -> None:
    with pytest.raises(AddressRefused):
        hosts.resolve(host, 443)


@pytest.mark.parametrize("host", LOOPBACK)
def test_this_machine_is_where_that_is_allowed(host: str) -> None:
    with pytest.raises(AddressRefused, match="--insecure"):
        STRICT.resolve(host, 80)
    assert DEVELOPER.resolve(host, 80)


@pytest.mark.parametrize("host", ODD)
def test_an_odd_form_of_this_machine_is_this_machine(host: str) -> None:
    with pytest.raises((AddressRefused, Unresolvable)):
        STRICT.resolve(host, 80)


@pytest.mark.parametrize("host", ["169.254.43518", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376"])
def test_an_odd_form_of_a_metadata_address_is_one(host: str) -> None:
    with pytest.raises((AddressRefused, Unresolvable)):
        DEVELOPER.resolve(host, 80)


@pytest.mark.parametrize("host", [PUBLIC, "2606:4700::1111", f"64:ff9b::{PUBLIC}", f"::ffff:{PUBLIC}"])
def test_public_addresses_are(host: str) -> None:
    assert len(STRICT.resolve(host, 443)) == 1


def looked_up(*addresses: str, named: str = "", allow_loopback: bool = False) -> Hosts:
    return Hosts(allow_loopback, frozenset([named] if named else []), lambda host, port: addresses)


@pytest.mark.parametrize("bad", [*INTERNAL[:12], *INTERNAL[22:40], "127.0.0.1", "::1"])
def test_one_bad_address_among_good_ones_refuses_the_host(bad: str) -> None:
    for addresses in ((PUBLIC, bad), (bad, PUBLIC), (PUBLIC, "2606:4700::1", bad)):
        with pytest.raises(AddressRefused):
            looked_up(*addresses).resolve("hooks.example.com", 443)


def test_a_name_is_looked_up_once_and_its_addresses_are_what_is_called() -> None:
    asked: list[tuple[str, int]] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return [PUBLIC, PUBLIC, "2606:4700::1"] if len(asked) == 1 else ["127.0.0.1"]

    hosts = Hosts(lookup=rebinding)
    assert hosts.resolve("Hooks.Example.com.", 8443) == [PUBLIC, "2606:4700::1"]
    assert asked == [("hooks.example.com", 8443)]
    with pytest.raises(AddressRefused):
        hosts.resolve("hooks.example.com", 8443)


@pytest.mark.parametrize("answer", [[], OSError(), UnicodeError(), ["not an address"]])
def test_a_name_without_an_address_may_get_one(answer: list[str] | Exception) -> None:
    def lookup(host: str, port: int) -> list[str]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(Unresolvable, match=r"hooks\.example\.com"):
        Hosts(lookup=lookup).resolve("hooks.example.com", 443)


@pytest.mark.parametrize("host", ["crm.internal", "CRM.internal", "crm.internal."])
@pytest.mark.parametrize("named", ["crm.internal:8443", "CRM.Internal.:8443"])
@pytest.mark.parametrize("address", ["10.0.0.7", "fd00::7", "127.0.0.1", PUBLIC])
def test_a_named_host_is_where_it_is(host: str, named: str, address: str) -> None:
    hosts = looked_up(address, named=named)
    for only_named in (False, True):
        assert hosts.resolve(host, 8443, only_named=only_named) == [address]
        with pytest.raises(AddressRefused):
            looked_up("10.0.0.7", named=named).resolve(host, 443, only_named=only_named)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "::ffff:a9fe:a9fe", "fe80::1", "0.0.0.0", "224.0.0.1"]
)
def test_a_named_host_does_not_lead_to_a_metadata_service(address: str) -> None:
    with pytest.raises(AddressRefused, match="metadata"):
        looked_up(address, named="crm.internal:80").resolve("crm.internal", 80)
    literal = Hosts(named=frozenset([f"[{address}]:80"]))
    assert literal.resolve(address, 80)  # whoever names the address itself means it


def test_what_is_not_encrypted_is_only_where_it_was_named() -> None:
    with pytest.raises(AddressRefused, match=r"--destination-host plugin\.example\.com:50060"):
        looked_up(PUBLIC).resolve("plugin.example.com", 50060, only_named=True)
    with pytest.raises(AddressRefused, match="not this machine"):
        looked_up(PUBLIC, allow_loopback=True).resolve("plugin.example.com", 50060, only_named=True)
    local = looked_up("127.0.0.1", allow_loopback=True)
    assert local.resolve("localhost", 50060, only_named=True) == ["127.0.0.1"]
    for bad in INTERNAL:
        with pytest.raises(AddressRefused):
            looked_up(bad.strip("[]"), allow_loopback=True).resolve("plugin.example.com", 1, only_named=True)


async def test_looking_up_does_not_hold_up_the_event_loop() -> None:
    loop = asyncio.get_running_loop()
    going = asyncio.Event()

    def slow(host: str, port: int) -> list[str]:
        loop.call_soon_threadsafe(going.set)
        return [PUBLIC]

    assert await Hosts(lookup=slow).resolved("hooks.example.com", 443) == [PUBLIC]
    await asyncio.wait_for(going.wait(), 10)


def test_the_system_looks_up_names_alone_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def getaddrinfo(host: str, port: int, **options: int) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert Hosts(lookup=system_lookup).resolve("hooks.example.com", 443) == [PUBLIC]
    assert asked == ["hooks.example.com"]
