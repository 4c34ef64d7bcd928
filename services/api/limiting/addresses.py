"""Who is calling, by address. `X-Forwarded-For` is believed of trusted proxies alone, read from the right: whatever a
caller writes into it stands further left."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_UNKNOWN = "unknown"
_SUBSCRIBERS_NETWORK = 64
"""The part of an IPv6 address that one subscriber of a provider has: they can use all addresses in it."""
_MOST_HOPS = 20


class TrustedProxies:
    """The networks whose word counts."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ip_network(network, strict=False) for network in networks]

    def caller(self, peer: str, forwarded: Sequence[str]) -> str:
        """The caller's address: the last in `forwarded` (the headers' values, in order) that is no proxy of ours."""
        address = _parse(peer)
        hops = [hop.strip() for value in forwarded for hop in value.split(",")][-_MOST_HOPS:]
        while address is not None and hops and self._trusts(address):
            behind = _parse(hops.pop())
            if behind is None:
                break
            address = behind
        return _UNKNOWN if address is None else _normal(address)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)


_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+")
"""As some proxies write it."""


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    found = _WITH_PORT.fullmatch(text)
    bare = (found[1] or found[2] or "") if found else text
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _normal(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((int(address), _SUBSCRIBERS_NETWORK), strict=False))
