"""The way out for URLs that come from users and not from who runs the server: to public addresses, and to the private
networks that are allowed.

A name is looked up once, and the connection goes to the address that was looked at: that the name's owner answers
something else a moment later (DNS rebinding) changes nothing. TLS proves the name all the same.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import anyio
import httpcore2
import httpx2

from vel_tutor_mcp.errors import Forbidden, InputError
from vel_tutor_mcp.providers.pools import CONNECTIONS, KEEP_ALIVE_SECONDS

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Carrier = Callable[[], httpx2.AsyncBaseTransport]
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

LONGEST_URL = 300
# They share the time for a connection (`connect_tcp`): of more, each would have too little.
_MOST_ADDRESSES = 4
_FREE_PORTS = range(1024, 65_536)
_PORTS = {"https": 443, "http": 80}
# Of IPv6, all that IANA gives out as global unicast.
_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
# Public to some versions of Python, and yet no stranger's server: kept for protocols, Teredo and 6to4, which have other
# addresses inside, examples, and Azure's services to its own machines.
_OTHERS = [
    ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "2002::/16", "3fff::/20")
]


def is_public(address: Address) -> bool:
    """Whether it is a host's on the internet, and no other address is hidden in it but a public one. (Pure.)"""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not _within(address, _OTHERS)
    # It leads to the IPv4 address in its last four bytes.
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _UNICAST and address.is_global and address.scope_id is None and not _within(address, _OTHERS)


@dataclass(frozen=True, slots=True)
class Outbound:
    """Where users' URLs may lead: to public addresses by https, and to these networks by http too."""

    networks: tuple[Network, ...] = ()
    resolve: Resolve | None = None

    def check(self, url: str) -> None:
        """Refuse at once what no look at its name's addresses could make good.

        Raises:
            InputError: it is no URL that we call. Forbidden: its address is none that we call.
        """
        where = _parsed(url)
        address = _written_in(where.raw_host.decode())
        if address is not None and not self.allows(address, where.scheme):
            raise Forbidden(
                "You may not name this address; it is not a public one, and what listens there is not yours; use a "
                "public server with https, or ask who runs this one to allow it (VEL_TUTOR_PRIVATE_NETWORKS)."
            )
        if where.scheme != "https" and not self.networks:
            raise InputError(_NO_URL)

    def allows(self, address: Address, scheme: str) -> bool:
        return _within(address, self.networks) or (scheme == "https" and is_public(address))

    def transport(self, url: str, trusted: ssl.SSLContext | None = None) -> httpx2.AsyncBaseTransport:
        """What carries requests to the host of this URL, and to no other; proxies of the environment are not used.

        Raises:
            InputError: it is no URL that we call.
        """
        return _Transport(self, _parsed(url), trusted or trusted_by_default())


@cache
def trusted_by_default() -> ssl.SSLContext:
    """One for all vendors and keys: it takes longer to make than all the rest of a client."""
    return httpx2.create_ssl_context()


class _Transport(httpx2.AsyncHTTPTransport):
    """As the library's own, whose pool connects by `_Way`; made without its constructor, which takes no such thing:
    if the pool gets another name there, no request goes out at all.
    """

    def __init__(self, out: Outbound, url: httpx2.URL, trusted: ssl.SSLContext) -> None:
        self._origin = _origin(url)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=trusted,
            max_connections=CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            network_backend=_Way(out, url.scheme),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if _origin(request.url) != self._origin:
            raise httpx2.UnsupportedProtocol("it sends on to another server", request=request)
        return await super().handle_async_request(request)


class _Way(httpcore2.AsyncNetworkBackend):
    def __init__(self, out: Outbound, scheme: str) -> None:
        self._out = out
        self._scheme = scheme
        self._resolve = out.resolve or _addresses_of
        self._below = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            with anyio.fail_after(timeout):
                addresses = await self._allowed(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("its name was not looked up in time") from None
        # So that one address that does not answer leaves time for the others.
        share = None if timeout is None else timeout / len(addresses)
        *others, last = addresses
        for address in others:
            try:
                return await self._below.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._below.connect_tcp(last, port, share, local_address, socket_options)

    async def _allowed(self, host: str, port: int) -> list[str]:
        """Those of its addresses that may be called.

        Whether there are others is not told: a stranger would learn what names there are inside.
        """
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError):
            found = []
        good = [text for text in dict.fromkeys(found) if self._out.allows(ip_address(text), self._scheme)]
        if not good:
            raise httpcore2.ConnectError("its name leads to no address that this server calls for its users")
        return good[:_MOST_ADDRESSES]


_NO_URL = (
    "The URL cannot be used; only https:// is called, at port 443 or one above 1023, without user and password; write "
    "it like https://host/v1."
)
_TOO_LONG = f"The URL is too long; it has at most {LONGEST_URL} characters; have a shorter one lead there."
_NOT_ASCII = (
    "The URL cannot be used; it has characters beyond ASCII; write its host in the form that begins with xn--, and "
    "others as %XX."
)


def _parsed(url: str) -> httpx2.URL:
    """By the parser that the request is made with: two might find two hosts.

    Raises:
        InputError: it is no URL that we call.
    """
    if len(url) > LONGEST_URL:
        raise InputError(_TOO_LONG)
    if not url.isascii():
        raise InputError(_NOT_ASCII)
    fits = url.isprintable() and not set(url) & {" ", "\\"}
    try:
        found = httpx2.URL(url if fits else "")
    except (httpx2.InvalidURL, ValueError):
        found = httpx2.URL("")
    port = _PORTS.get(found.scheme) if found.port is None else found.port
    if found.scheme not in _PORTS or not found.host or found.userinfo or not _is_open(port or 0):
        raise InputError(_NO_URL)
    return found


def _is_open(port: int) -> bool:
    """Not one of the services that have a port of their own, such as mail."""
    return port in _PORTS.values() or port in _FREE_PORTS


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _written_in(host: str) -> Address | None:
    """The address that the host is, in any way of writing one; None where it is a name that must be looked up."""
    bare = host.rstrip(".")
    # RFC 6761: whatever a resolver says of these names, they are this machine.
    if bare == "localhost" or bare.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    try:
        rows = socket.getaddrinfo(bare, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return ip_address(str(rows[0][4][0]))


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


async def _addresses_of(host: str, port: int) -> Sequence[str]:
    rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in rows]
