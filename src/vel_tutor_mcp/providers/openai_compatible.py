"""Any vendor that speaks OpenAI's chat completions: OpenAI, Groq, Perplexity, Ollama, LM Studio, llama.cpp, ...

The SDK builds, signs and sends the request; the answer's bytes are read here, since the SDK's model of each chunk costs
more than all the rest. It is deliberately without retries: an attempt that nobody booked must not happen.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import anyio
import httpx2
import openai

from vel_tutor_mcp.errors import ConfigurationError, ProviderError
from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.providers import wire
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Delta

MAX_ANSWER_BYTES = 64 * 1024 * 1024
# Vendors drop idle connections after a minute or more; a new one costs several times the CPU of a call.
KEEP_ALIVE_SECONDS = 30.0
DISCOVERY_SECONDS = 10.0

# OpenAI's reasoning models refuse `max_tokens` and Groq deprecates it; the others know no other name.
_LIMIT_NAMES = {"openai": "max_completion_tokens", "groq": "max_completion_tokens"}
_NO_KEY = "none"
# The end of the body mostly comes with [DONE]; reading it keeps the connection for the next call.
_DRAIN_SECONDS = 0.1
_FIRST_TOKEN, _NEXT_TOKEN, _BODY, _END = "the first token", "the next token", "the end of the body", "the end"
_NOTHING = wire.Piece()

_ADVICE = {
    FailureKind.AUTHENTICATION: "check its key and what that key may use",
    FailureKind.NOT_FOUND: "check the model's name and the base URL",
    FailureKind.BAD_REQUEST: "change the request",
    FailureKind.RATE_LIMITED: "wait, or use another model",
    FailureKind.SERVER_ERROR: "try later, or use another model",
    FailureKind.CONNECTION: "check the network and the base URL, or use another model",
    FailureKind.TIMEOUT: "try later, use another model, or allow more time",
    FailureKind.MALFORMED: "try again, or use another model",
}
# The HTTP client lets these two of its parts' errors through.
_BREAKS = (httpx2.HTTPError, ssl.SSLError, anyio.EndOfStream)


class OpenAICompatible:
    """One vendor, by one HTTP client with one pool of connections for its life.

    The constructor loads what is slow to load, so that a thread can run it in advance.

    Args:
        name: the provider's name, as in messages.
        base_url: with the version, as in `https://api.openai.com/v1`.
        api_key: None for a server that asks for none.
        max_connections: calls at once; more wait for `Timeouts.connect` and then fail.

    Raises:
        ConfigurationError: the key holds a character that no key can hold.
    """

    def __init__(self, name: str, base_url: str, api_key: str | None, max_connections: int = 100) -> None:
        self._name = name
        self._key = (api_key or "").strip() or None
        if self._key and not (self._key.isascii() and self._key.isprintable()):
            raise ConfigurationError(f"The key of {name} holds a character that no key can hold; set it again.")
        self._client = openai.AsyncOpenAI(
            api_key=self._key or _NO_KEY,
            base_url=base_url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(
                limits=httpx2.Limits(
                    max_connections=max_connections,
                    max_keepalive_connections=max_connections,
                    keepalive_expiry=KEEP_ALIVE_SECONDS,
                )
            ),
        )
        if name != "openai":
            self._forget_openai_account()
        self._create = self._client.chat.completions.with_streaming_response.create
        self._list = self._client.models.with_raw_response.list

    def _forget_openai_account(self) -> None:
        """The SDK takes these from OPENAI_* variables, which may hold secrets, and would send them to every vendor."""
        self._client.organization = self._client.project = None
        self._client._custom_headers = {}  # noqa: SLF001 - there is no public way

    async def complete(self, request: ChatRequest, on_delta: Delta) -> Completion:
        """See `Provider.complete`.

        A text cut at the token limit is an answer (`finish_reason` is `length`), even an empty one; any other empty
        answer is MALFORMED, and a refusal or a content filter without text is BAD_REQUEST: another vendor should not be
        asked for what one declined. `first_token_ms` is None where the answer came in one piece. An answer whose
        `finish_reason` has arrived stands, whatever happens to the connection after it.
        """
        call = _Call(request, on_delta)
        with self._told(f"{self._name}/{request.model}", call):
            await self._exchange(request, call)
            return call.completion()

    async def _exchange(self, request: ChatRequest, call: "_Call") -> None:
        sent = self._create(**self._arguments(request))
        try:
            async with asyncio.timeout(None) as timer:
                with call.watch.over(timer):
                    async with sent as response:
                        await call.read(response.http_response)
        except TimeoutError:
            if not timer.expired():
                raise
            if not call.finished:
                raise ProviderError(call.watch.overdue, kind=FailureKind.TIMEOUT) from None
        except openai.APITimeoutError:
            why = f"it took more than {request.timeouts.connect:g} s for a connection"
            raise ProviderError(why, kind=FailureKind.TIMEOUT) from None
        except _BREAKS:
            if not call.finished:
                raise

    async def list_models(self) -> tuple[str, ...]:
        """The ids of the models that the server offers.

        Raises:
            ProviderError: as `complete`.
        """
        with self._told(self._name):
            try:
                async with asyncio.timeout(DISCOVERY_SECONDS):
                    response = await self._list()
            except TimeoutError:
                why = f"it took more than {DISCOVERY_SECONDS:g} s to list its models"
                raise ProviderError(why, kind=FailureKind.TIMEOUT) from None
            return wire.decode_models(response.content)

    async def close(self) -> None:
        """Close the connections; calls in flight fail."""
        await self._client.close()

    def _arguments(self, request: ChatRequest) -> dict[str, Any]:
        connect = request.timeouts.connect
        return {
            "model": request.model,
            "stream": request.stream,
            # A read has no limit of its own: a heartbeat would satisfy it.
            "timeout": httpx2.Timeout(None, connect=connect, pool=connect),
            # What is passed by name is checked against the SDK's types, for a quarter of the CPU of a call.
            "messages": (),
            "extra_body": self._body(request),
        }

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        system = [{"role": "system", "content": request.system}] if request.system else []
        body: dict[str, Any] = {
            "messages": [*system, {"role": "user", "content": request.prompt}],
            _LIMIT_NAMES.get(self._name, "max_tokens"): request.max_output_tokens,
        }
        if request.stream:
            body["stream_options"] = {"include_usage": True}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.response_schema is not None:
            named = {"name": "answer", "schema": request.response_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    @contextmanager
    def _told(self, model: str, call: "_Call | None" = None) -> Iterator[None]:
        """Turns every failure of a call into one ProviderError, whose text and causes hold no key."""
        try:
            yield
        except openai.APIStatusError as error:
            failure = self._refusal(model, error.response)
        except ProviderError as error:
            failure = self._failure(model, error.kind, str(error))
        except (openai.APIConnectionError, *_BREAKS) as error:
            failure = self._broken(model, error)
        else:
            return
        if call is not None:
            failure.partial = call.text
            failure.first_token_ms = call.first_token_ms
        # The SDK's error holds the request with its headers.
        raise failure from None

    def _refusal(self, model: str, response: httpx2.Response) -> ProviderError:
        status = response.status_code
        said = wire.decode_complaint(response.content)
        why = f"it answered {status}" + (f": {said.text}" if said.text else "")
        failure = self._failure(model, wire.kind_of_status(status, said.code), why, _advice(status, said.code))
        failure.status = status
        failure.retry_after = wire.retry_after(response.headers)
        return failure

    def _broken(self, model: str, error: Exception) -> ProviderError:
        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
        if isinstance(error, openai.APITimeoutError):
            return self._failure(model, FailureKind.TIMEOUT, "it took too long to connect")
        if isinstance(error, httpx2.DecodingError):
            return self._failure(model, FailureKind.MALFORMED, "its answer cannot be decompressed")
        why = str(cause) or "the server broke it off"
        return self._failure(model, FailureKind.CONNECTION, f"the connection failed: {why}")

    def _failure(self, model: str, kind: FailureKind, why: str, advice: str = "") -> ProviderError:
        said = wire.quote(why, self._key).rstrip(".")
        return ProviderError(f"{model} failed; {said}; {advice or _ADVICE[kind]}.", kind=kind)


def _advice(status: int, code: str) -> str:
    return "add credit to its account, or use another provider" if wire.is_out_of_credit(status, code) else ""


class _Watch:
    """Lets a timer expire once a call has waited too long for what comes next.

    One alarm serves many packets: moving the timer at each of them costs more than decoding them.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._waits: dict[str, tuple[float, float | None]] = {}
        self._timer: asyncio.Timeout | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self.last = self.now()
        self.overdue = ""

    def expect(self, what: str, seconds: float, since: float | None = None) -> None:
        """Wait for it at most so long since a moment, or since the last packet (`last`) where none is given."""
        self._waits[what] = (seconds, since)
        self._arm()

    def expect_no_more(self, what: str) -> None:
        self._waits.pop(what, None)

    @contextmanager
    def over(self, timer: asyncio.Timeout) -> Iterator[None]:
        self._timer = timer
        self._arm()
        try:
            yield
        finally:
            self._timer = None
            self._disarm()

    def _arm(self) -> None:
        self._disarm()
        if self._timer is None:
            return
        when, seconds, what = min((self._end(*wait), wait[0], what) for what, wait in self._waits.items())
        if when > self.now():
            self._alarm = self._loop.call_at(when, self._arm)
        else:
            self.overdue = f"it took more than {seconds:g} s for {what}"
            self._timer.reschedule(when)

    def _end(self, seconds: float, since: float | None) -> float:
        return (self.last if since is None else since) + seconds

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()


class _Call:
    """One call in flight: what has arrived, and what must arrive next."""

    def __init__(self, request: ChatRequest, on_delta: Delta) -> None:
        self.watch = _Watch()
        self._started = self.watch.now()
        self._timeouts = request.timeouts
        self._stream = request.stream
        self._on_delta = on_delta
        self._pieces: list[str] = []
        self._first_piece_at: float | None = None
        self._thinking = False
        self._refusal = ""
        self._model: str | None = None
        self._usage = wire.Usage()
        self._finish_reason: str | None = None
        self._done = False
        self.watch.expect(_END, request.timeouts.total, self._started)
        if request.stream:
            self.watch.expect(_FIRST_TOKEN, request.timeouts.first_token, self._started)

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def finished(self) -> bool:
        return self._done or self._finish_reason is not None

    @property
    def first_token_ms(self) -> int | None:
        return None if self._first_piece_at is None else self._milliseconds(self._first_piece_at)

    def _milliseconds(self, moment: float) -> int:
        return round((moment - self._started) * 1000)

    async def read(self, response: httpx2.Response) -> None:
        """Read the answer to its end, in the form that the server chose for it."""
        kind = response.headers.get("content-type", "")
        if "event-stream" in kind or (self._stream and "json" not in kind):
            events = wire.EventDecoder()
            await self._read(response, lambda packet: self._take_events(events.feed(packet)))
        else:
            whole = bytearray()
            await self._read(response, whole.extend)
            self._take_whole(wire.decode_whole(whole))

    async def _read(self, response: httpx2.Response, take: Callable[[bytes], None]) -> None:
        size, watch, now = 0, self.watch, self.watch.now
        # The raw iterator spares two generators for each packet.
        encoded = "content-encoding" in response.headers
        async with aclosing(response.aiter_bytes() if encoded else response.aiter_raw()) as packets:
            async for packet in packets:
                watch.last = now()
                size += len(packet)
                if size > MAX_ANSWER_BYTES:
                    raise ProviderError("its answer has no end", kind=FailureKind.MALFORMED)
                take(packet)

    def _take_events(self, events: list[bytes]) -> None:
        for event in events:
            if event == wire.DONE:
                self._done = True
                self.watch.expect(_BODY, _DRAIN_SECONDS)
            else:
                self._take_chunk(wire.decode_chunk(event))

    def _take_chunk(self, chunk: wire.Chunk) -> None:
        self._take_envelope(chunk)
        for choice in chunk.choices or ():
            self._take_delta(choice.delta or _NOTHING)
            self._finish(choice.finish_reason)

    def _take_delta(self, delta: wire.Piece) -> None:
        if delta.content:
            if not self._pieces:
                self._first_piece_at = self.watch.last
                self.watch.expect_no_more(_FIRST_TOKEN)
                self.watch.expect(_NEXT_TOKEN, self._timeouts.between_tokens)
            self._take_text(delta.content)
        elif not self._thinking and (delta.reasoning or delta.reasoning_content):
            self._thinking = True
            self.watch.expect(_NEXT_TOKEN, self._timeouts.between_tokens)
        elif delta.refusal:
            self._refusal += delta.refusal

    def _take_whole(self, whole: wire.Whole) -> None:
        self._take_envelope(whole)
        for choice in whole.choices or ():
            message = choice.message or _NOTHING
            if message.content:
                self._take_text(message.content)
            self._refusal += message.refusal or ""
            self._finish(choice.finish_reason)
        self._done = True

    def _take_envelope(self, envelope: wire.Envelope) -> None:
        self._model = envelope.model or self._model
        self._usage = envelope.usage or self._usage

    def _take_text(self, text: str) -> None:
        self._pieces.append(text)
        self._on_delta(text)

    def _finish(self, reason: str | None) -> None:
        if reason:
            self._finish_reason = reason
            self.watch.expect_no_more(_FIRST_TOKEN)

    def completion(self) -> Completion:
        """The answer, once nothing more comes; raises ProviderError where it is none."""
        text = self.text
        if not self.finished:
            raise ProviderError("its answer broke off", kind=FailureKind.CONNECTION)
        if not text and (self._refusal or self._finish_reason == "content_filter"):
            why = f"the model declined: {self._refusal}" if self._refusal else "its content filter removed the answer"
            raise ProviderError(why, kind=FailureKind.BAD_REQUEST)
        if not text and self._finish_reason != "length":
            raise ProviderError("its answer is empty", kind=FailureKind.MALFORMED)
        details = self._usage.prompt_tokens_details
        return Completion(
            text=text,
            finish_reason=self._finish_reason,
            served_model=self._model,
            tokens_in=self._usage.prompt_tokens,
            tokens_out=self._usage.completion_tokens,
            tokens_cached=details.cached_tokens if details else None,
            first_token_ms=self.first_token_ms,
            total_ms=self._milliseconds(self.watch.now()),
        )
