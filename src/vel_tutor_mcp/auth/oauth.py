"""What OAuth is asked with: clients, where they may be answered, proofs of possession, and for what. (Pure.)"""

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from vel_tutor_mcp.errors import InputError

# A client may do whatever its user's role may, so there is one scope.
SCOPE = "mcp"
# The paths that clients connect to.
WAYS_IN = ("/mcp", "/sse")
LONGEST_CLIENT_ID = 300
_LONGEST_URI = 500
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# Private-use schemes of desktop clients, beside those that are a domain backwards, such as com.example.app (RFC 8252).
_APPS = frozenset({
    "claude", "cline", "cursor", "goose", "jetbrains", "raycast", "roo-cline", "vscode", "vscode-insiders", "vscodium",
    "warp", "windsurf", "zed",
})  # fmt: skip
_BACKWARDS = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
# RFC 7636: 43 characters are a SHA-256 in base64url, as S256 has it; `plain` is not taken.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_PRINTABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A program that asks to come in on somebody's behalf; `name` is its own word for itself, which nobody checked."""

    id: str
    name: str
    redirect_uris: tuple[str, ...]

    @property
    def site(self) -> str | None:
        """The host that vouches for it, where it is known by a document there; None where it registered itself."""
        return urlsplit(self.id).hostname if is_document(self.id) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client asks of somebody in a browser, once it is found to be in order."""

    client: Client
    redirect_uri: str
    challenge: str
    state: str | None


def check_redirect_uri(uri: str) -> None:
    """Refuse an address to which no answer may go.

    Raises:
        InputError: says what such an address looks like.
    """
    if not _may_be_answered(uri):
        raise InputError(
            "A redirect URI is not taken; it is https://, http:// on 127.0.0.1, [::1] or localhost, or the scheme of a "
            f"desktop client, of at most {_LONGEST_URI} plain characters, without user, fragment and wildcard; correct "
            "it."
        )


def is_registered(uri: str, registered: Collection[str]) -> bool:
    """Whether the address is one of these, to the letter; on loopback the port is chosen by the client each time."""
    if uri in registered:
        return True
    given = _without_port(uri)
    return given is not None and given in {_without_port(one) for one in registered}


def destination(uri: str) -> str:
    """Where the answer goes, in words for a person who is to judge that."""
    parts = urlsplit(uri)
    if parts.scheme == "https":
        return parts.netloc
    return "a program on this computer" if parts.scheme == "http" else f"the program that opens {parts.scheme}: links"


def source(uri: str) -> str:
    """What a page's policy names, so that its form may lead to this address; CSP has no word for hosts of IPv6."""
    parts = urlsplit(uri)
    return (
        f"{parts.scheme}://{parts.netloc}"
        if parts.scheme in {"http", "https"} and "[" not in uri
        else parts.scheme + ":"
    )


def is_challenge(text: str) -> bool:
    return bool(_CHALLENGE.fullmatch(text))


def proves(verifier: str, challenge: str) -> bool:
    """Whether who has this verifier is who sent the challenge (PKCE, S256)."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    return secrets.compare_digest(urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)


def resources_at(url: str) -> tuple[str, ...]:
    """What tokens may be asked for: this server as a whole, or a way into it; they are good for all of it."""
    return (url, *(f"{url}{way}" for way in WAYS_IN))


def is_served(resource: str, url: str) -> bool:
    """Whether the resource is this server, or a way into it."""
    return resource.rstrip("/") in resources_at(url)


def is_document(client_id: str) -> bool:
    """Whether a client is known by the document at this address, as `draft-ietf-oauth-client-id-metadata-document`."""
    if not client_id.startswith("https://") or len(client_id) > LONGEST_CLIENT_ID:
        return False
    parts = _split(client_id)
    # As the draft demands: with a path, and nothing in it that could lead to another document.
    if parts is None or parts.path in {"", "/"} or parts.fragment or "#" in client_id or "@" in parts.netloc:
        return False
    return bool(parts.hostname) and not {".", ".."} & set(parts.path.split("/"))


def _may_be_answered(uri: str) -> bool:
    parts = _split(uri)
    if parts is None or len(uri) > _LONGEST_URI or "#" in uri or "*" in uri or "@" in parts.netloc:
        return False
    match parts.scheme:
        case "https":
            return bool(parts.hostname)
        case "http":
            return parts.hostname in _LOOPBACK
        case scheme:
            return (scheme in _APPS or bool(_BACKWARDS.fullmatch(scheme))) and len(uri) > len(scheme) + 1


def _split(uri: str) -> SplitResult | None:
    """Its parts; None where it is no address that can be told apart in one way only."""
    if not _PRINTABLE.fullmatch(uri) or set(uri) & set('\\"<>^`{|}'):
        return None
    try:
        parts = urlsplit(uri)
        # A port that is none is found only where it is asked for.
        _ = parts.port
    except ValueError:
        return None
    return parts


def _without_port(uri: str) -> str | None:
    """The address without its port; None where that matters."""
    parts = _split(uri)
    if parts is None or parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        return None
    host = parts.netloc.removesuffix(f":{parts.port}") if parts.port is not None else parts.netloc
    return parts._replace(netloc=host).geturl()
