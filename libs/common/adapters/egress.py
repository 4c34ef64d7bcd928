"""Which addresses a customer may make us call. Decides on the address that is really dialled, after DNS, since a name,
a spelling or a redirect can hide anything; refuses to know what is sent there.

    a URL                  https (http where that is allowed), a host, an allowed port, no user name and password
    an address dialled     public: no loopback, private, link-local, shared (RFC 6598), test, reserved or multicast
                           network, and none that carries another address within (IPv4 mapped and compatible, NAT64,
                           6to4, Teredo)
"""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}
_LONGEST_URL = 2048

_IPV6_UNICAST = ip_network("2000::/3")
"""All that is given out to the public; the rest is special, `is_global` or not."""
_SPECIAL = (
    ip_network("2002::/16"),  # 6to4: an IPv4 address within
    ip_network("2001::/32"),  # Teredo: the same
    # Two that older interpreters believe public; in the first are a cloud's own services.
    ip_network("192.0.0.0/24"),
    ip_network("3fff::/20"),
    ip_network("192.88.99.0/24"),  # the way to 6to4 relays
    ip_network("168.63.129.16/32"),  # a cloud's own services, on an address that looks public
)


class EgressDenied(OSError):
    """The address is not one that a customer may make us call."""


@dataclass(frozen=True)
class Egress:
    """The rules of one way out. `allow_private` opens everything to everybody: for a developer's machine alone."""

    ports: frozenset[int] = frozenset({443})
    allow_http: bool = False
    allow_private: bool = False

    def permits(self, url: str) -> bool:
        """Whether a URL may be tried at all. The address behind it is looked at when it is dialled."""
        if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            return False
        try:
            parts = urlsplit(url)
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            return False
        if parts.scheme != "https" and not (self.allow_http and parts.scheme == "http"):
            return False
        return bool(parts.hostname) and parts.username is None and parts.password is None and port in self.ports

    def open_socket(self, address: Any) -> socket.socket:
        """A socket for an address as `getaddrinfo` gives it. aiohttp asks for one for every address that it dials.
        Raises `EgressDenied`."""
        host, port = address[4][:2]
        if port not in self.ports:
            raise EgressDenied("egress to a port that is not allowed")
        if not self.allow_private and not is_public(host):
            raise EgressDenied("egress to an address that is not public")
        return socket.socket(address[0], address[1], address[2])


def is_public(host: str) -> bool:
    """Whether an IP address is one of the public internet."""
    ip: IPv4Address | IPv6Address = ip_address(host)
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip
    # `is_global` alone is wrong: it is true of multicast and of addresses that embed a private one.
    if not ip.is_global or ip.is_multicast or any(ip in network for network in _SPECIAL):
        return False
    return ip.version == 4 or ip in _IPV6_UNICAST
