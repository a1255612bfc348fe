"""What a simulated provider is told, hears and says: data, and pure functions from a request to an answer's bytes."""

import math
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import msgspec

Schema = dict[str, Any]
Body = dict[str, Any]
Headers = list[tuple[str, str]]

_MAX_DEPTH = 6
_CREATED = 1_700_000_000
_BREAKS = frozenset({"reset", "stall", "heartbeats", "reasoning", "malformed", "error_event", "cut"})
_PIECE = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one answer goes wrong.

    Kinds: `status` refuses with `status`, `message`, `code` and `retry_after` (seconds); `reset` (TCP RST), `stall`,
    `heartbeats` (a stall with comments), `reasoning` (thoughts without end), `malformed` (something that is no JSON),
    `error_event` and `cut` (an orderly end too early) break the answer at `after_chunks`; `wrong_model`, `empty`,
    `bad_schema` and `not_streamed` (a whole answer to a request for a stream) change it; `finish` ends it after
    `after_chunks`, with `code` for its finish reason.

    `after_chunks`: None is before the headers (of `reset` and `stall`), 0 before the first token, n after n; one more
    than there are is after the finish reason. In a whole answer, 0 and more is half-way through the body.
    """

    kind: Literal[
        "status", "reset", "stall", "heartbeats", "reasoning", "malformed", "error_event", "cut",
        "wrong_model", "empty", "bad_schema", "not_streamed", "finish",
    ]  # fmt: skip
    status: int = 500
    after_chunks: int | None = None
    retry_after: float | None = None
    message: str = "The simulated provider was told to fail."
    code: str | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests and tokens (in and out) per window of `seconds`; beyond them the answer is 429."""

    requests: int
    tokens: int
    seconds: float = 60


@dataclass(slots=True)
class Received:
    """A request for a completion, as it arrived and as it ended; times are of the loop's clock, in seconds."""

    model: str
    prompt: str
    body: dict[str, Any]
    headers: dict[str, str]
    started: float
    ended: float | None = None
    closed_early: bool = False
    chunks_sent: int = 0


@dataclass(slots=True)
class Window:
    """How much of a rate limit is used; times are of any steady clock, in seconds."""

    limit: RateLimit
    requests: int = 0
    tokens: int = 0
    ends: float = 0

    def book(self, tokens: int, now: float) -> bool:
        """Whether one more request with these tokens fits."""
        if now >= self.ends:
            self.requests = self.tokens = 0
            self.ends = now + self.limit.seconds
        fits = self.requests < self.limit.requests and self.tokens + tokens <= self.limit.tokens
        if fits:
            self.requests += 1
            self.tokens += tokens
        return fits

    def left(self, now: float) -> float:
        """Seconds until it is empty again."""
        return max(0.0, self.ends - now)

    def headers(self, now: float) -> Headers:
        left = duration(self.left(now))
        found: Headers = []
        for name, limit, used in (
            ("requests", self.limit.requests, self.requests),
            ("tokens", self.limit.tokens, self.tokens),
        ):
            found += [(f"x-ratelimit-limit-{name}", str(limit)), (f"x-ratelimit-remaining-{name}", str(limit - used))]
            found += [(f"x-ratelimit-reset-{name}", left)]
        return found


def prompt_of(body: Body) -> str:
    """The text of the last message, "" where it has none."""
    messages = body.get("messages") or [{}]
    content = messages[-1].get("content")
    return content if isinstance(content, str) else ""


def schema_of(body: Body) -> Schema | None:
    """The JSON Schema that the request asks the answer to match."""
    wanted = body.get("response_format") or {}
    return (wanted.get("json_schema") or {}).get("schema") if wanted.get("type") == "json_schema" else None


def text_for(name: str, body: Body) -> str:
    """An answer that nobody can take for a model's, or an object that matches the schema asked for."""
    schema = schema_of(body)
    if schema is not None:
        return msgspec.json.encode(example(schema)).decode()
    prompt = prompt_of(body)
    return f"[simulated {name}/{body.get('model')}] No model read these {len(prompt)} characters: {prompt[:80]}"


def text_against(schema: Schema | None) -> str:
    """JSON that a schema of an object (or of anything but a list) does not allow."""
    return '{"simulated": true}' if (schema or {}).get("type") == "array" else '["simulated"]'


def pieces_of(text: str) -> list[str]:
    """The text in words, each with the space before it: one piece counts as one token."""
    return _PIECE.findall(text)


def example(schema: Schema, root: Schema | None = None, depth: int = 0) -> Any:
    """A value that satisfies a simple schema: types, enum, const, required, bounds of size, `$ref` and `anyOf`."""
    root = schema if root is None else root
    if "$ref" in schema:
        return example(_referred(schema["$ref"], root), root, depth + 1)
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return example(schema[choice][0], root, depth)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    return _of_type(schema, root, depth)


def _referred(path: str, root: Schema) -> Schema:
    found = root
    for name in path.removeprefix("#").strip("/").split("/"):
        found = found[name] if name else found
    return found


def _of_type(schema: Schema, root: Schema, depth: int) -> Any:
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return _object(schema, root, depth)
        case "array":
            count = schema.get("minItems", int(depth < _MAX_DEPTH))
            return [example(schema.get("items") or {}, root, depth + 1) for _ in range(count)]
        case "integer" | "number" as name:
            value = _number(schema)
            return math.ceil(value) if name == "integer" else value
        case "boolean":
            return True
        case "null":
            return None
    return "simulated".ljust(schema.get("minLength", 0), "-")[: schema.get("maxLength")]


def _object(schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
    properties: Schema = schema.get("properties") or {}
    required = schema.get("required") or []
    names = required if depth >= _MAX_DEPTH else [*properties, *(name for name in required if name not in properties)]
    return {name: example(properties.get(name) or {}, root, depth + 1) for name in names}


def _number(schema: Schema) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return float(low + high) / 2
    if low is not None:
        return float(low) + 1
    return 1.0 if high is None else float(high) - 1


def usage(body: Body, tokens_out: int) -> Body:
    """OpenAI's `usage`: a token in is four characters of all messages, a token out is one piece."""
    characters = sum(len(message.get("content") or "") for message in body.get("messages") or ())
    tokens_in = math.ceil(characters / 4)
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def event(message: Body) -> bytes:
    return b"data: " + msgspec.json.encode(message) + b"\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is about to be sent; `breaks_at` is the number of pieces before the fault, None where there is no break."""

    identity: str
    model: str
    pieces: list[str]
    finish_reason: str
    usage: Body
    stream: bool
    include_usage: bool
    fault: Fault | None
    breaks_at: int | None

    def chunk(self, delta: Body, finish_reason: str | None = None) -> bytes:
        """One event of a stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event(self._envelope("chat.completion.chunk") | {"choices": [choice]})

    def ending(self) -> list[bytes]:
        """The events after the last piece."""
        usage = event(self._envelope("chat.completion.chunk") | {"choices": [], "usage": self.usage})
        counted = [usage] if self.include_usage else []
        return [self.chunk({}, self.finish_reason), *counted, b"data: [DONE]\n\n"]

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        message = {"role": "assistant", "content": "".join(self.pieces), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return msgspec.json.encode(self._envelope("chat.completion") | {"choices": [choice], "usage": self.usage})

    def _envelope(self, kind: str) -> Body:
        return {"id": self.identity, "object": kind, "created": _CREATED, "model": self.model}


def plan(identity: str, body: Body, text: str, fault: Fault | None) -> Plan:
    """Decide on an answer with this text to the request with this body."""
    kind = fault.kind if fault else None
    model = str(body.get("model", ""))
    said = {"empty": "", "bad_schema": text_against(schema_of(body))}.get(kind or "", text)
    pieces = pieces_of(said)
    sent = pieces[: body.get("max_completion_tokens") or body.get("max_tokens")]
    reason = "length" if len(sent) < len(pieces) else "stop"
    if fault and fault.kind == "finish":
        sent, reason = sent[: fault.after_chunks], fault.code or reason
    return Plan(
        identity=identity,
        model=f"not-{model}" if kind == "wrong_model" else model,
        pieces=sent,
        finish_reason=reason,
        usage=usage(body, len(sent)),
        stream=bool(body.get("stream")) and kind != "not_streamed",
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        fault=fault,
        breaks_at=(fault.after_chunks or 0) if fault and kind in _BREAKS else None,
    )


def error(status: int, message: str, code: str | None = None) -> Body:
    """The body of a refusal, in OpenAI's form."""
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def models(names: tuple[str, ...], owner: str) -> bytes:
    """The body of an answer to `GET /v1/models`."""
    listed = [{"id": name, "object": "model", "created": _CREATED, "owned_by": owner} for name in names]
    return msgspec.json.encode({"object": "list", "data": listed})


def duration(seconds: float) -> str:
    """Seconds as rate-limit headers write them: `6m0s`, `1.5s`, `20ms`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return (f"{int(minutes)}m" if minutes else "") + f"{round(rest, 3):g}s"
