"""Which hosts may be called?"""

import pytest

from services.sync.destinations.addresses import AddressRefused, resolve


@pytest.mark.parametrize(
    "host",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "fe80::1",
        "fd00::1",
        "224.0.0.1",
    ],
)
@pytest.mark.parametrize("allow_loopback", [False, True])
async def test_private_and_reserved_addresses_never_are(host, allow_loopback):
    with pytest.raises(AddressRefused):
        await resolve(host, 80, allow_loopback=allow_loopback)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"])
async def test_this_machine_is_where_that_is_allowed(host):
    with pytest.raises(AddressRefused):
        await resolve(host, 80, allow_loopback=False)
    assert await resolve(host, 80, allow_loopback=True)


async def test_public_addresses_are():
    assert await resolve("93.184.215.14", 443, allow_loopback=False) == ["93.184.215.14"]
