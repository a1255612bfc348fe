"""By which part of an address a subscriber is known."""

import ipaddress

# A subscriber has a /64 or more, and may ask from any address in it.
_IPV6_OF_ONE = 64


def network(address: str) -> str:
    """The address, or of IPv6 the network that one subscriber has."""
    try:
        # Without the zone that an address of the local link may have.
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:60]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(found), _IPV6_OF_ONE), strict=False))
