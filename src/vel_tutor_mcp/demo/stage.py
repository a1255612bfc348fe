"""Where the demo plays: the simulated providers in this process, the real server beside it, and the client between.

Nothing here sleeps and hopes: what must have happened is waited for by what the simulated providers see.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult, TextContent

from vel_tutor_mcp.demo.screen import Json, NotSoError, Screen, shortened
from vel_tutor_mcp.demo.server import over, server_process
from vel_tutor_mcp.providers.simulated import Fault, Received, SimulatedProvider
from vel_tutor_mcp.providers.simulated_answers import schema_of, text_for

LOG = "server.log"
AGENT = "demo-team"
WORDS_BEFORE_PAUSE = 12

_FIRST_TOKEN_SECONDS = 0.25
_TOKENS_PER_SECOND = 40.0
_FILLER = (
    "No model has read the prompt, so there is nothing to learn from these words. What is real is the way they came: "
    "the route that was decided, the money set aside before the call, the stream of words, the progress you saw, and "
    "the record that was written when the last one had arrived."
)


def simulated(name: str) -> SimulatedProvider:
    """A provider whose answers stream at a pace that a person can follow."""

    def answer(body: Json) -> str:
        return text_for(name, body) if schema_of(body) else f"[simulated {name}/{body['model']}] {_FILLER}"

    return SimulatedProvider(
        name,
        latency=_FIRST_TOKEN_SECONDS,
        tokens_per_second=_TOKENS_PER_SECOND,
        answer=answer,
    )


class Stage:
    """`client` and `process` are those of the server that runs now; `unfinished` is the task or run that a crash cut.

    A person sits at the client, who approves whatever they are asked; `asked_person` is what that was.
    """

    client: Client
    process: Process
    unfinished: str
    asked_person: str = ""

    def __init__(self, screen: Screen, providers: Mapping[str, SimulatedProvider], folder: Path) -> None:
        self.screen = screen
        self.providers = providers
        self._home = folder / "home"
        self._log = folder / LOG

    @property
    def database(self) -> Path:
        return self._home / "vel-tutor.db"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """The server runs and the client is connected to it; every time in the same home."""
        # The story tells which model takes a task, so that is not left to chance.
        settings = {"VEL_TUTOR_HOME": str(self._home), "VEL_TUTOR_EXPLORATION": "0"} | self._settings()
        with self._log.open("ab") as log:
            async with (
                server_process(settings, log) as self.process,
                Client(over(self.process), elicitation_callback=self._answer) as self.client,
            ):
                yield

    def _settings(self) -> dict[str, str]:
        """How the server reaches its providers."""
        found: dict[str, str] = {}
        for name, provider in self.providers.items():
            found |= {f"{name.upper()}_API_KEY": "dummy-key", f"{name.upper()}_BASE_URL": provider.base_url}
        return found

    async def call(self, tool: str, **arguments: Any) -> Json:
        """What the tool returns, its progress shown as it comes.

        Raises:
            NotSoError: it was refused.
        """
        result = await self.client.call_tool(tool, arguments, progress_callback=self._news)
        if result.is_error:
            told = " ".join(part.text for part in result.content if isinstance(part, TextContent))
            raise NotSoError(f"{tool} was refused: {told}")
        return dict(result.structured_content or {})

    async def run(self, prompt: str, **arguments: Any) -> Json:
        """The task with this prompt, ended."""
        return await self.call("task_submit", agent=AGENT, prompt=prompt, **arguments)

    async def begin_and_pause(self, prompt: str) -> Json:
        """Begin a task and return when its answer has stopped half-way: the provider goes on for nobody."""
        self.screen.say(f"The provider is told to pause after {WORDS_BEFORE_PAUSE} words of: {shortened(prompt, 40)}")
        self._next_answers(Fault(kind="stall", after_chunks=WORDS_BEFORE_PAUSE))
        begun = await self.run(prompt, wait_seconds=0)
        await self._until(lambda: any(received.chunks_sent >= WORDS_BEFORE_PAUSE for received in self._open()))
        self._next_answers()
        return await self.call("task_get", id=begun["id"])

    async def kill(self) -> None:
        """Kill the server as `kill -9` does; return when the providers have noticed."""
        await self.kill_server()
        await self.until_hung_up()
        self.screen.ok("the provider saw the connection break: nobody holds the answer")

    async def kill_server(self) -> None:
        self.process.kill()
        code = await self.process.wait()
        self.screen.check(code != 0, f"the server, process {self.process.pid}, is killed (exit status {code})")

    async def until_answering(self, prompt: str, words: int) -> None:
        """Return when so many words of an answer to a prompt that begins so have been sent."""
        await self._until(
            lambda: any(row.prompt.startswith(prompt) and row.chunks_sent >= words for row in self._open())
        )

    def asked_for(self, prompt: str) -> int:
        """How many calls the providers have had whose prompt begins so."""
        return sum(row.prompt.startswith(prompt) for row in self._requests())

    async def until_hung_up(self) -> None:
        """Return when no provider has a call open any more."""
        await self._until(lambda: not self._open())

    def asked(self) -> int:
        """How many calls the providers have had."""
        return len(self._requests())

    async def _answer(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK's signature
        params: ElicitRequestParams,
    ) -> ElicitResult:
        self.asked_person = params.message
        return ElicitResult(action="accept", content={"approve": True})

    def _next_answers(self, *faults: Fault) -> None:
        for provider in self.providers.values():
            provider.faults = list(faults)

    def _requests(self) -> Sequence[Received]:
        return [received for provider in self.providers.values() for received in provider.requests]

    def _open(self) -> Sequence[Received]:
        return [received for received in self._requests() if received.ended is None]

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as something that a provider sees has made it true."""

        async def watch(provider: SimulatedProvider) -> None:
            await provider.until(lambda _: holds())
            # One provider has seen it, and no other need wait on.
            watching.cancel_scope.cancel()

        async with anyio.create_task_group() as watching:
            for provider in self.providers.values():
                watching.start_soon(watch, provider)

    async def _news(self, progress: float, total: float | None, message: str | None) -> None:
        self.screen.news(progress / (total or 100), message or "")
