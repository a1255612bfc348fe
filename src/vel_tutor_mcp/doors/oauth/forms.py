"""What browsers and clients send: parameters, each once, in bodies of bounded length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from vel_tutor_mcp.errors import OAuthRefused

_MOST_BYTES = 64 * 1024
_MOST_FIELDS = 40
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Sent:
    """Parameters by name, but `resource`, which alone may come several times."""

    values: Mapping[str, str]
    resources: Sequence[str]


def sent(text: str) -> Sent:
    """Raises:
    OAuthRefused: a parameter came twice, or there is no end of them.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise _unreadable() from None
    # RFC 6749, section 3.1: each parameter once; RFC 8707, section 2, lets `resource` come several times.
    resources = [value for name, value in pairs if name == "resource"]
    values = [(name, value) for name, value in pairs if name != "resource"]
    if len(values) != len(dict(values)):
        raise OAuthRefused(
            "invalid_request", "The request is not taken; a parameter came more than once; send each of them once."
        )
    return Sent(dict(values), resources)


async def form_of(request: Request) -> Sent:
    """Raises:
    OAuthRefused: it is no form, or is too long.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise OAuthRefused("invalid_request", f"The request is not taken; it is no form; send it as {_FORM}.")
    try:
        return sent((await body_of(request)).decode("ascii"))
    except UnicodeDecodeError:
        raise _unreadable() from None


async def body_of(request: Request) -> bytes:
    """Raises:
    OAuthRefused: it is too long.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise OAuthRefused(
                "invalid_request", f"The request is not taken; it is longer than {_MOST_BYTES:,} bytes; send less."
            )
    return body


def _unreadable() -> OAuthRefused:
    return OAuthRefused("invalid_request", "The request is not taken; its parameters cannot be read; correct it.")
