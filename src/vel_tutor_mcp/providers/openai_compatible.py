"""Any vendor that speaks OpenAI's chat completions: OpenAI, Groq, Perplexity, Ollama, LM Studio, llama.cpp, ...

The SDK gives the connections, the headers and the key; the request is put together and the answer's bytes are read
here, since the SDK's models of both cost more than all the rest. It is deliberately without retries: an attempt that
nobody booked must not happen.
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from http import HTTPStatus
from typing import Any

import anyio
import httpx2
import msgspec

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import ConfigurationError, ProviderError
from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.providers import wire
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Delta, Hear
from vel_tutor_mcp.providers.call import Call, beginning
from vel_tutor_mcp.providers.connection import Connection, connect
from vel_tutor_mcp.providers.outbound import Carrier

DISCOVERY_SECONDS = 10.0

_ADVICE = {
    FailureKind.AUTHENTICATION: "check its key and what that key may use",
    FailureKind.NOT_FOUND: "check the model's name and the base URL",
    FailureKind.BAD_REQUEST: "change the request",
    FailureKind.RATE_LIMITED: "wait, or use another model",
    FailureKind.SERVER_ERROR: "try later, or use another model",
    FailureKind.CONNECTION: "check the network, the proxy and the base URL, or use another model",
    FailureKind.TIMEOUT: "try later, use another model, or allow more time",
    FailureKind.MALFORMED: "try again, or use another model",
    FailureKind.INVALID_OUTPUT: "simplify the schema, or use another model",
}
# The HTTP client lets these two of its parts' errors through.
_BREAKS = (httpx2.HTTPError, ssl.SSLError, anyio.EndOfStream)


class _Refused(Exception):
    """The server answered, and it is no answer."""

    def __init__(self, response: httpx2.Response, body: bytes) -> None:
        super().__init__()
        self.response = response
        self.body = body


class OpenAICompatible:
    """One vendor, by the same connections for its life.

    The connections are made by the first call, or by `connected` in advance.

    Args:
        name: the provider's name, as in messages.
        base_url: with the version, as in `https://api.openai.com/v1`.
        api_key: None for a server that asks for none.
        limit_name: what the vendor calls the most tokens that an answer may have.
        stream_usage: whether streams are asked to tell their usage; some vendors refuse that, and tell it unasked.
        max_connections: calls at once; more wait for `Timeouts.connect` and then fail.
        transport: makes what carries requests instead of the network; nobody is sent on then.
        of_environment: whether the key is this process's own, whose account OPENAI_* variables may name.

    Raises:
        ConfigurationError: the key holds a character that no key can hold.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None,
        *,
        limit_name: str = "max_tokens",
        stream_usage: bool = True,
        max_connections: int = 100,
        transport: Carrier | None = None,
        of_environment: bool = True,
    ) -> None:
        self._name = name
        self._limit_name = limit_name
        self._stream_usage = stream_usage
        self._key = (api_key or "").strip() or None
        if self._key and not (self._key.isascii() and self._key.isprintable()):
            raise ConfigurationError(f"The key of {name} holds a character that no key can hold; set it again.")
        # First calls come several at once, and one connection is for all of them.
        self._making = asyncio.Lock()
        self._connection: Connection | None = None
        own_account = name == "openai" and of_environment
        self._connect = lambda: connect(base_url, self._key, max_connections, transport, own_account=own_account)

    async def connected(self) -> Connection:
        """What calls go through. Made in a thread: the SDK takes half a second to import.

        Raises:
            ProviderError: CONNECTION, where the environment's proxy or certificates cannot be used.
        """
        async with self._making:
            if self._connection is None:
                self._connection = await self._made()
            return self._connection

    async def _made(self) -> Connection:
        try:
            return await in_thread(self._connect)
        except ConfigurationError as problem:
            # The vendor has heard nothing of it, and it says nothing of the vendor.
            why = f"{self._name} was not called; {problem}"
            raise ProviderError(why, kind=FailureKind.CONNECTION, billable=False, telling=False) from None

    async def complete(self, request: ChatRequest, on_delta: Delta, on_limits: Hear | None = None) -> Completion:
        """See `Provider.complete`.

        A text cut at the token limit is an answer (`finish_reason` is `length`), even an empty one; any other empty
        answer is MALFORMED, and a refusal or a content filter without text is BAD_REQUEST: another vendor should not be
        asked for what one declined. `first_token_ms` is None where the answer came in one piece. An answer whose
        `finish_reason` has arrived stands, whatever comes or happens after it, unless that is `error`.
        """
        connection = await self.connected()
        call = Call(request, on_delta, on_limits)
        with self._told(f"{self._name}/{request.model}", call):
            await self._exchange(connection, request, call)
            return call.completion()

    async def _exchange(self, connection: Connection, request: ChatRequest, call: Call) -> None:
        try:
            async with asyncio.timeout(None) as timer:
                with call.watch.over(timer):
                    async with (
                        connection.pools.client(request.timeouts.connect) as http,
                        aclosing(await self._sent(connection, request, http)) as response,
                    ):
                        await call.read(response)
        except TimeoutError:
            # Of somebody around us, such as who gave the task its time.
            if not timer.expired():
                raise
            if not call.finished:
                raise ProviderError(
                    call.watch.overdue, kind=FailureKind.TIMEOUT, telling=not call.out_of_time
                ) from None
        except httpx2.TimeoutException as error:
            why = f"it took more than {request.timeouts.connect:g} s for a connection"
            # Where all of our connections are taken, the vendor has heard nothing of it.
            telling = not isinstance(error, httpx2.PoolTimeout)
            raise ProviderError(why, kind=FailureKind.TIMEOUT, billable=False, telling=telling) from None
        except (*_BREAKS, ProviderError):
            if not call.finished:
                raise

    async def list_models(self) -> tuple[str, ...]:
        """The ids of the models that the server offers.

        Raises:
            ProviderError: as `complete`.
        """
        connection = await self.connected()
        asked = httpx2.Request("GET", connection.models, headers=connection.headers)
        with self._told(self._name):
            try:
                async with (
                    asyncio.timeout(DISCOVERY_SECONDS),
                    aclosing(await _answered(asked, connection.pools.first)) as response,
                ):
                    return wire.decode_models(await beginning(response))
            except TimeoutError:
                why = f"it took more than {DISCOVERY_SECONDS:g} s to list its models"
                raise ProviderError(why, kind=FailureKind.TIMEOUT) from None

    async def close(self) -> None:
        """Close the connections; calls in flight fail."""
        if self._connection is not None:
            await self._connection.pools.close()

    async def _sent(self, connection: Connection, request: ChatRequest, http: httpx2.AsyncClient) -> httpx2.Response:
        """The answer's head, its body still to be read.

        The SDK, and its client, would build the same request anew out of their options, for a third of a call's CPU.
        """
        connect = request.timeouts.connect
        sent = httpx2.Request(
            "POST",
            connection.completions,
            headers=connection.headers,
            cookies=http.cookies,
            content=msgspec.json.encode(self._body(request)),
            # A read has no limit of its own: a heartbeat would satisfy it.
            extensions={"timeout": httpx2.Timeout(None, connect=connect, pool=connect).as_dict()},
        )
        return await _answered(sent, http)

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        system = [{"role": "system", "content": request.system}] if request.system else []
        body: dict[str, Any] = {
            "model": request.model,
            "stream": request.stream,
            "messages": [*system, {"role": "user", "content": request.prompt}],
            self._limit_name: request.max_output_tokens,
        }
        if request.stream and self._stream_usage:
            # Else OpenAI's streams say nothing of usage, by which the call is booked.
            body["stream_options"] = {"include_usage": True}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.response_schema is not None:
            named = {"name": "answer", "schema": request.response_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    @contextmanager
    def _told(self, model: str, call: Call | None = None) -> Iterator[None]:
        """Turns every failure of a call into one ProviderError, whose text and causes hold no key."""
        try:
            yield
        except _Refused as error:
            if call is not None:
                call.hear_limits(error.response)
            failure = self._refusal(model, error.response, error.body)
        except ProviderError as error:
            failure = self._failure(model, error.kind, str(error))
            failure.billable, failure.telling, failure.partial = error.billable, error.telling, error.partial
        except _BREAKS as error:
            failure = self._broken(model, error)
        else:
            return
        if call is not None:
            failure.partial = call.text or failure.partial
            failure.first_token_ms = call.first_token_ms
        # The client's error holds the request with its headers.
        raise failure from None

    def _refusal(self, model: str, response: httpx2.Response, body: bytes) -> ProviderError:
        status = response.status_code
        said = wire.decode_complaint(body)
        why = f"it answered {status}" + (f": {said.text}" if said.text else "")
        kind = wire.kind_of_status(status, said.code, said.param)
        failure = self._failure(model, kind, why, _advice(kind, status, said.code))
        failure.status = status
        # A model wrote what is refused for its form, and nobody says whether that is charged.
        failure.billable = kind is FailureKind.INVALID_OUTPUT
        failure.partial = said.written
        failure.retry_after = wire.retry_after(response.headers)
        return failure

    def _broken(self, model: str, error: Exception) -> ProviderError:
        if isinstance(error, httpx2.TimeoutException):
            return self._failure(model, FailureKind.TIMEOUT, "it took too long to connect")
        if isinstance(error, httpx2.DecodingError):
            return self._failure(model, FailureKind.MALFORMED, "its answer cannot be decompressed")
        why = str(error) or "the server broke it off"
        failure = self._failure(model, FailureKind.CONNECTION, f"the connection failed: {why}")
        # Without a connection, or one by a proxy, the vendor has heard nothing of it.
        failure.billable = not isinstance(error, (httpx2.ConnectError, httpx2.ProxyError))
        return failure

    def _failure(self, model: str, kind: FailureKind, why: str, advice: str = "") -> ProviderError:
        said = wire.quote(why, self._key).rstrip(".")
        return ProviderError(f"{model} failed; {said}; {advice or _ADVICE[kind]}.", kind=kind)


async def _answered(sent: httpx2.Request, http: httpx2.AsyncClient) -> httpx2.Response:
    """The answer's head, its body still to be read.

    Raises:
        _Refused: its status is none of success.
    """
    response = await http.send(sent, stream=True)
    if not response.is_success:
        async with aclosing(response):
            raise _Refused(response, await beginning(response))
    return response


def _advice(kind: FailureKind, status: int, code: str) -> str:
    if wire.is_out_of_credit(status, code):
        return "add credit to its account, or use another provider"
    if kind is FailureKind.NOT_FOUND and status != HTTPStatus.NOT_FOUND:  # its words say what would open the model
        return "do as it says, or use another model"
    return ""
