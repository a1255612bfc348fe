"""One call in flight: what has arrived of the answer, and how long the rest may take."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager

import httpx2

from vel_tutor_mcp.errors import ProviderError
from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.providers import wire
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Delta, Hear
from vel_tutor_mcp.providers.thoughts import Thoughts

# Far more than a model writes. At its end an answer is held three times: in pieces, whole, and as what is stored.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_BEGINNING_BYTES = 4 * 1024 * 1024

# The end of the body mostly comes with [DONE]; reading it keeps the connection for the next call.
_DRAIN_SECONDS = 0.1
_FIRST_TOKEN, _NEXT_TOKEN, _BODY, _END = "the first token", "the next token", "the end of the body", "the end"
_NOTHING = wire.Piece()


class Watch:
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
        self.missed: str | None = None

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
            self.missed = what
            self.overdue = f"it took more than {seconds:g} s for {what}"
            # A moment that has passed: it expires at once.
            self._timer.reschedule(when)

    def _end(self, seconds: float, since: float | None) -> float:
        return (self.last if since is None else since) + seconds

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()


async def beginning(response: httpx2.Response, most: int = MAX_BEGINNING_BYTES) -> bytes:
    """As much of a body as is looked at where it is no answer of a model, at most so many bytes: it may have no end."""
    read = bytearray()
    async with aclosing(response.aiter_bytes()) as packets:
        async for packet in packets:
            read += packet
            if len(read) >= most:
                break
    return bytes(read[:most])


class Call:
    """One call in flight: what has arrived, and what must arrive next."""

    def __init__(self, request: ChatRequest, on_delta: Delta, on_limits: Hear | None = None) -> None:
        self.watch = Watch()
        self._started = self.watch.now()
        self._timeouts = request.timeouts
        self._stream = request.stream
        self._on_delta = on_delta
        self._on_limits = on_limits
        self._pieces: list[str] = []
        self._first_piece_at: float | None = None
        self._thoughts = Thoughts()
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
    def out_of_time(self) -> bool:
        """Whether the time for the whole call was over, which says more of who set it than of the model."""
        return self.watch.missed == _END

    @property
    def first_token_ms(self) -> int | None:
        return None if self._first_piece_at is None else self._milliseconds(self._first_piece_at)

    def _milliseconds(self, moment: float) -> int:
        return round((moment - self._started) * 1000)

    async def read(self, response: httpx2.Response) -> None:
        """Read the answer to its end, in the form that the server chose for it."""
        self.hear_limits(response)
        kind = response.headers.get("content-type", "")
        # Some answer in one piece although a stream was asked for, some stream without calling it so.
        if "event-stream" in kind or (self._stream and "json" not in kind):
            events = wire.EventDecoder()
            await self._read(response, lambda packet: self._take_events(events.feed(packet)))
        else:
            whole = bytearray()
            await self._read(response, whole.extend)
            self._take_whole(wire.decode_whole(whole))

    def hear_limits(self, response: httpx2.Response) -> None:
        """Tell what the headers say of rate limits: at the beginning, for the answer may take a minute."""
        if self._on_limits is not None and (limits := wire.announced(response.headers)) is not None:
            self._on_limits(limits)

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
        if text := self._thoughts.without(delta.text):
            if not self._pieces:
                self._first_piece_at = self.watch.last
                self.watch.expect_no_more(_FIRST_TOKEN)
                self.watch.expect(_NEXT_TOKEN, self._timeouts.between_tokens)
            self._take_text(text)
        # Who thinks must go on sending, but still owes the first token in its time: else thoughts could go on for ever.
        elif not self._thinking and (delta.content or delta.reasoning or delta.reasoning_content):
            self._thinking = True
            self.watch.expect(_NEXT_TOKEN, self._timeouts.between_tokens)
        elif delta.refusal:
            self._refusal += delta.refusal

    def _take_whole(self, whole: wire.Whole) -> None:
        self._take_envelope(whole)
        for choice in whole.choices or ():
            message = choice.message or _NOTHING
            self._take_text(self._thoughts.without(message.text))
            self._refusal += message.refusal or ""
            self._finish(choice.finish_reason)
        self._done = True

    def _take_envelope(self, envelope: wire.Envelope) -> None:
        self._model = envelope.model or self._model
        self._usage = envelope.usage or self._usage

    def _take_text(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._on_delta(text)

    def _finish(self, reason: str | None) -> None:
        if reason:
            self._finish_reason = reason
            # It may end without a first token: thinking has used up all that it was given.
            self.watch.expect_no_more(_FIRST_TOKEN)

    def completion(self) -> Completion:
        """The answer, once nothing more comes; raises ProviderError where it is none."""
        self._take_text(self._thoughts.rest())
        text = self.text
        if not self.finished:
            raise ProviderError("its answer broke off", kind=FailureKind.CONNECTION)
        # So vendors that pass calls on, such as OpenRouter, end an answer that failed on the way.
        if self._finish_reason == "error":
            raise ProviderError("its answer ended in an error", kind=FailureKind.SERVER_ERROR)
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
            tokens_written=details.cache_write_tokens if details else None,
            first_token_ms=self.first_token_ms,
            total_ms=self._milliseconds(self.watch.now()),
        )
