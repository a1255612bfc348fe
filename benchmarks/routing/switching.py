"""How soon the next candidate is called once one has failed, and how long a call may hang: on sockets, in real time.

The providers are our own, the vendors are simulated servers in the same process, whose work is in the times.
"""

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from measure import Result
from routing.availability import GOAL_SWITCH_MS, Seen, look
from routing.intervals import percentile
from routing.product import Product, Unbooked

from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible
from vel_tutor_mcp.providers.simulated import Fault, SimulatedProvider
from vel_tutor_mcp.settings import Settings

ROUNDS = 50
FIRST_TOKEN_SECONDS = 1.0
# What two timers and a busy event loop may add to a time-out.
LATE_MS = 100

_SETTINGS = Settings(
    home=Path.cwd(),
    first_token_timeout_seconds=FIRST_TOKEN_SECONDS,
    reasoning_timeout_seconds=FIRST_TOKEN_SECONDS,
)
_PROMPT = "Which of these two contracts is the better one for a small shop, and why?"
_FAULTS = (
    None,
    Fault(kind="status", status=500),
    Fault(kind="status", status=503),
    Fault(kind="status", status=429, retry_after=20),
    Fault(kind="stall"),
    Fault(kind="reset", after_chunks=3),
)
"""What the first candidate does; None: its address refuses connections."""


async def results(share: float) -> list[Result]:
    async with SimulatedProvider("openai") as openai, SimulatedProvider("groq") as groq:
        with _closed_address() as address:
            street = Street({"openai": openai, "groq": groq}, address)
            for _ in range(max(2, round(ROUNDS * share))):
                for fault in _FAULTS:
                    await street.ask(fault)
            await street.close()
    milliseconds = [1000 * seconds for seconds in street.seen.switches]
    return [
        Result(
            name=f"switch to the next candidate, p50 of {len(milliseconds)}",
            unit="ms",
            ours=percentile(milliseconds, 50),
        ),
        Result(
            name="switch to the next candidate, p99",
            unit="ms",
            ours=percentile(milliseconds, 99),
            limit=GOAL_SWITCH_MS,
        ),
        Result(
            name=f"hung call beyond its {1000 * FIRST_TOKEN_SECONDS:g} ms, longest of {len(street.seen.beyond)}",
            unit="ms",
            ours=1000 * max(street.seen.beyond),
            limit=LATE_MS,
        ),
    ]


class Street:
    """Two vendors, and for each an address at which nobody answers."""

    def __init__(self, servers: Mapping[str, SimulatedProvider], closed: str) -> None:
        self.seen = Seen()
        self._servers = servers
        self._real = {name: _provider(name, server.base_url) for name, server in servers.items()}
        self._closed = {name: _provider(name, closed) for name in servers}
        self._product = Product(self._real, settings=_SETTINGS)

    async def ask(self, fault: Fault | None) -> None:
        """One request, whose first candidate fails in this way."""
        self._product.begin(self._real)
        first = self._product.decide(_PROMPT).candidates[0].provider
        if fault is None:
            self._product.begin({**self._real, first: self._closed[first]})
        else:
            self._servers[first].faults.append(fault)
        book = Unbooked(self._product, _PROMPT, clock=time.perf_counter)
        await self._product.answer(self._product.decide(_PROMPT), book)
        assert len(book.visits) > 1, "a candidate fails, and another one answers"
        look(book, self.seen)

    async def close(self) -> None:
        for provider in (*self._real.values(), *self._closed.values()):
            await provider.close()


def _provider(name: str, base_url: str) -> OpenAICompatible:
    return OpenAICompatible(name, base_url, "dummy-key")


@contextmanager
def _closed_address() -> Iterator[str]:
    """One at which nobody listens, and nobody else will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
