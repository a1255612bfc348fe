"""The OpenAI chat-completions wire: what the bytes of an answer or a refusal mean.

It is deliberately unaware of connections and clocks. Everything here takes bytes or headers that a stranger wrote:
what cannot be understood raises ProviderError, nothing else.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from vel_tutor_mcp.errors import ProviderError
from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.providers.base import Announced, Limit

DONE = b"[DONE]"
MAX_EVENT_BYTES = 4 * 1024 * 1024
MAX_RETRY_AFTER_SECONDS = 3600.0
MAX_QUOTE_CHARACTERS = 200

# A refusal may be megabytes long, and is gone through sign by sign, to show 200 of them.
_MAX_READ_CHARACTERS = 20_000
# Far beyond any limit; it also keeps out infinity, of which no whole number can be made.
_MAX_COUNT = 10**12
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+", re.ASCII)
_PART = re.compile(r"([\d.]+)(ms|[smhd])", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
# So begin the keys of OpenAI, Groq and Perplexity; vendors repeat them in part, the rest as stars.
_SECRETS = re.compile(r"\b(?:sk|gsk|pplx)[-_][\w.*-]{4,}|\bBearer\s+\S+", re.IGNORECASE)
# After an even number of backslashes: an odd one more is the text of an escape, as in an answer about JSON.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_OUT_OF_CREDIT = "insufficient_quota"
_OVER_RATE = "rate_limit_exceeded"
# Of one model, whatever the status: another may take the request, and the key is good. Most of these are Groq's.
_OF_MODEL = frozenset({
    "model_not_found", "model_decommissioned", "model_terms_required",
    "model_permission_blocked_org", "model_permission_blocked_project",
})  # fmt: skip
# OpenAI streams some models to verified organisations alone.
_OF_STREAM = ("unsupported_value", "stream")
# Each model has a longest answer of its own, and the catalog may be behind the vendor's.
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
# Groq looks at an answer itself: the call worked, and what was written came with the refusal.
_NO_MATCH = "json_validate_failed"
_CLIENT_ERROR = 4
_KINDS = {
    401: FailureKind.AUTHENTICATION,
    402: FailureKind.AUTHENTICATION,
    403: FailureKind.AUTHENTICATION,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.TIMEOUT,
    # Of a lock that timed out at the vendor, as OpenAI's own client takes it: worth another try.
    409: FailureKind.SERVER_ERROR,
    429: FailureKind.RATE_LIMITED,
}

# A negative count would earn money.
Tokens = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


# Structs of plain values are in no reference cycle, hence gc=False.
class PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None


class Usage(msgspec.Struct):
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    prompt_tokens_details: PromptDetails | None = None


class Part(msgspec.Struct, gc=False):
    text: str | None = None


class Piece(msgspec.Struct, gc=False):
    """The `delta` of a stream's chunk or the `message` of a whole answer. Vendors spell reasoning in two ways.

    `content`: parts where a model of Mistral's reasons, whose thoughts are parts without a text.
    """

    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None

    @property
    def text(self) -> str:
        content = self.content or ""
        return content if isinstance(content, str) else "".join(part.text or "" for part in content)


class ChunkChoice(msgspec.Struct):
    delta: Piece | None = None
    finish_reason: str | None = None


class WholeChoice(msgspec.Struct):
    message: Piece | None = None
    finish_reason: str | None = None


class Envelope(msgspec.Struct):
    """What chunks and whole answers share. `error` has as many shapes as there are vendors."""

    model: str | None = None
    usage: Usage | None = None
    error: Any = None


class Chunk(Envelope):
    choices: list[ChunkChoice] | None = None


class Whole(Envelope):
    choices: list[WholeChoice] | None = None


class _ListedModel(msgspec.Struct):
    id: str


class _ListedModels(msgspec.Struct):
    data: list[_ListedModel] | None = None


Message = TypeVar("Message")
Enveloped = TypeVar("Enveloped", bound=Envelope)

_CHUNK = msgspec.json.Decoder(Chunk)
_WHOLE = msgspec.json.Decoder(Whole)
# Together's list is a bare one.
_MODELS: msgspec.json.Decoder[_ListedModels | list[_ListedModel]] = msgspec.json.Decoder(
    _ListedModels | list[_ListedModel]
)
_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class EventDecoder:
    """Cuts a stream of server-sent events out of packets that may end at any byte."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, packet: bytes) -> list[bytes]:
        """The data of each event that this packet completes, as UTF-8; comments and other fields are dropped.

        Raises:
            ProviderError: MALFORMED, where one event is longer than `MAX_EVENT_BYTES`.
        """
        events: list[bytes] = []
        *ends, rest = packet.split(b"\n")
        for end in ends:
            self._end_line(end, events)
        if rest:
            self._grow(len(rest))
            self._line.append(rest)
        return events

    def _end_line(self, end: bytes, events: list[bytes]) -> None:
        line = end
        if self._line:
            line = b"".join([*self._line, end])
            self._line.clear()
        line = line.removesuffix(b"\r")
        if line.startswith(b"data:"):
            # What came before it of the line was counted then.
            self._grow(len(end))
            self._data.append(line[5:].removeprefix(b" "))
        elif not line:
            self._size = 0
            if self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_EVENT_BYTES:
            raise ProviderError("it sent an event without end", kind=FailureKind.MALFORMED)


def decode_chunk(data: bytes) -> Chunk:
    """The chunk in one event of a stream.

    Raises:
        ProviderError: MALFORMED where it is no chunk, SERVER_ERROR where it reports an error.
    """
    return _unless_error(_decode(_CHUNK, data))


def decode_whole(data: bytes | bytearray) -> Whole:
    """The answer that came in one piece; raises as `decode_chunk`."""
    return _unless_error(_decode(_WHOLE, data))


def decode_models(data: bytes) -> tuple[str, ...]:
    """The ids in an answer to `GET /models`; raises ProviderError (MALFORMED)."""
    found = _decode(_MODELS, data)
    return tuple(model.id for model in (found if isinstance(found, list) else found.data or ()))


def _decode(decoder: msgspec.json.Decoder[Message], data: bytes | bytearray) -> Message:
    try:
        return decoder.decode(_without_nul(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProviderError("its answer is not what the protocol says", kind=FailureKind.MALFORMED) from None


def _without_nul(data: bytes | bytearray) -> bytes | bytearray:
    """JSON with U+FFFD for each NUL, which PostgreSQL's texts cannot hold. As a raw byte JSON has none."""
    return _NUL.sub(rb"\1\\ufffd", data) if rb"\u0000" in data else data


def _unless_error(message: Enveloped) -> Enveloped:
    if not message.error:
        return message
    said = _complaint(message.error)
    kind = FailureKind.INVALID_OUTPUT if said.code == _NO_MATCH else FailureKind.SERVER_ERROR
    raise ProviderError(said.text or "it reported an error", kind=kind, partial=said.written)


class Complaint(NamedTuple):
    """What a vendor says went wrong: its words, not yet sanitised, its code, and the field that it is about.

    `written`: the answer that it does not let through. Each is empty where it does not say.
    """

    text: str
    code: str = ""
    param: str = ""
    written: str = ""


def decode_complaint(body: bytes) -> Complaint:
    """Reads the body of a refusal, in any of the shapes that OpenAI-compatible servers use."""
    try:
        found = _ANYTHING.decode(_without_nul(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body.decode(errors="replace").strip()
        # A page, such as a proxy sends, has no sentence to show.
        return Complaint("" if text.startswith("<") else text)
    return _complaint(found)


def _complaint(found: object) -> Complaint:
    if not isinstance(found, dict):
        return Complaint(found if isinstance(found, str) else "")
    if found.get("error"):
        return _complaint(found["error"])
    words = (_words(found.get(name)) for name in ("message", "detail", "error_description"))
    code, param, written = (_text(found.get(name)) for name in ("code", "param", "failed_generation"))
    return Complaint(next(filter(None, words), ""), code, param, written)


def _text(said: object) -> str:
    return said if isinstance(said, str) else ""


def _words(said: object) -> str:
    """A sentence; or the first of a list of faults, with its place: so FastAPI tells them, Mistral one level deeper."""
    if isinstance(said, str):
        return said
    faults = said.get("detail") if isinstance(said, dict) else said
    first = faults[0] if isinstance(faults, list) and faults else None
    if not isinstance(first, dict) or not isinstance(first.get("msg"), str):
        return ""
    place = first.get("loc")
    steps = place if isinstance(place, list) else []
    where = ".".join(str(step) for step in steps if isinstance(step, (str, int)))
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def kind_of_status(status: int, code: str = "", param: str = "") -> FailureKind:
    """What an HTTP status means for the router, and what is said with it: a code may say more than its status.

    An account without credit counts as AUTHENTICATION: waiting is vain. What one model alone will not do counts as
    NOT_FOUND.
    """
    if is_out_of_credit(status, code):
        return FailureKind.AUTHENTICATION
    if code == _NO_MATCH:
        return FailureKind.INVALID_OUTPUT
    if code in _OF_MODEL or (code, param) == _OF_STREAM:
        return FailureKind.NOT_FOUND
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and code == _OVER_RATE:  # Groq: more than its tokens a minute
        return FailureKind.RATE_LIMITED
    if status == HTTPStatus.BAD_REQUEST and param in _LIMITS:
        return FailureKind.NOT_FOUND
    return _KINDS.get(status, FailureKind.BAD_REQUEST if status // 100 == _CLIENT_ERROR else FailureKind.SERVER_ERROR)


def is_out_of_credit(status: int, code: str) -> bool:
    return status == HTTPStatus.PAYMENT_REQUIRED or (status == HTTPStatus.TOO_MANY_REQUESTS and code == _OUT_OF_CREDIT)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait, at most an hour, by `retry-after-ms` or `retry-after` (seconds or an HTTP date).

    None where the headers (names in lower case) do not say, or say something that makes no sense.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    asked = headers.get("retry-after", "")
    seconds = _number(asked)
    # The more exact one first; comparisons with NaN are false.
    for wait in (milliseconds / 1000, seconds, _seconds_until(asked, now or datetime.now(UTC))):
        if 0 <= wait < math.inf:
            return min(wait, MAX_RETRY_AFTER_SECONDS)
    return None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _seconds_until(date: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(date)
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    except (ValueError, OverflowError):
        return math.nan


def announced(headers: Mapping[str, str]) -> Announced | None:
    """The rate limits in the headers of an answer or a refusal, as OpenAI and Groq write them; None where none are.

    Groq's limit of requests is per day, OpenAI's per minute; what is left and when it is full again says which.
    """
    found = Announced(_limit(headers, "requests"), _limit(headers, "tokens"))
    return found if found.requests or found.tokens else None


def _limit(headers: Mapping[str, str], unit: str) -> Limit | None:
    most, left = (_number(headers.get(f"x-ratelimit-{name}-{unit}", "")) for name in ("limit", "remaining"))
    full_in = period(headers.get(f"x-ratelimit-reset-{unit}", ""))
    # Comparisons with NaN are false.
    if full_in is None or not (1 <= most <= _MAX_COUNT and -_MAX_COUNT <= left <= most):
        return None
    return Limit(int(most), max(0, int(left)), full_in)


def period(duration: str) -> float | None:
    """Seconds, at most a day, of a duration such as `6m0s`, `1.5s`, `20ms` or of a bare number; None for else."""
    if _DURATION.fullmatch(duration):
        total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))
    else:
        total = _number(duration)
    return min(total, _SECONDS["d"]) if 0 <= total < math.inf else None


def quote(text: str, secret: str | None = None) -> str:
    """A stranger's words made fit to show: one line of at most 200 characters, printable, no keys in it."""
    # Before the keys are looked for: a control character inside one would hide it.
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:_MAX_READ_CHARACTERS]).split())
    if secret:
        line = line.replace(secret, "***")
    line = _SECRETS.sub("***", line)
    return line if len(line) <= MAX_QUOTE_CHARACTERS else line[: MAX_QUOTE_CHARACTERS - 3] + "..."
