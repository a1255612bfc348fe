"""What a door does with its process: words on stderr, the loop, signals, and the way out."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NoReturn

from vel_tutor_mcp.bearings import at_hand
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.tracing import spans

# These tell whole messages and rows, prompts among them, or headers: they do not belong into a log.
_TALKATIVE = {
    "aiosqlite": logging.WARNING,
    "mcp": logging.WARNING,
    "mcp.server.sse": logging.CRITICAL,
    "mcp.server.transport_security": logging.CRITICAL,
    "sse_starlette": logging.WARNING,
    "uvicorn.error": logging.ERROR,  # below that it tells of what strangers send, as often as they do
}

_LONGEST_LINE = 4000

_log = logging.getLogger(__name__)
# What is told to the person, where the log is for programs: then it is a line of the log, whatever the level.
_said = logging.getLogger("vel-tutor-mcp")
_said.setLevel(logging.INFO)
_said.disabled = True


def say(words: str) -> None:
    """Tell the person who started the process: on stderr, for stdout may belong to the protocol."""
    if not _said.disabled:
        _said.info("%s", words)
        return
    print(f"vel-tutor-mcp: {seen(words)}", file=sys.stderr, flush=True)  # noqa: T201 - the one place of the doors


def seen(text: str) -> str:
    """On one line, with what cannot be seen written out: a stranger's words begin no line, and command no terminal."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


class LogLine(logging.Formatter):
    """A message is one line, of bounded length; the lines of a traceback are indented."""

    def __init__(self) -> None:
        super().__init__(logging.BASIC_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base's name
        return _bounded(seen(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the base's name
        return "\n".join(f"    {seen(line)}" for line in super().formatException(ei).splitlines())


class JsonLine(logging.Formatter):
    """A record is one JSON object on one line, in ASCII: what cannot be seen is written out."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _bounded(record.getMessage()),
            **at_hand(),
            **spans.ids(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def _bounded(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."


def log(settings: Settings) -> None:
    """Log to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    as_json = settings.log_format == "json"
    handler.setFormatter(JsonLine() if as_json else LogLine())
    _said.disabled = not as_json
    logging.basicConfig(handlers=[handler], level=settings.log_level)
    # Else the engine's library would add a handler of its own, in a form of its own.
    engine = logging.getLogger("dbos")
    engine.addHandler(handler)
    engine.propagate = False


def run(settings: Settings, door: Coroutine[Any, Any, None]) -> NoReturn:
    """Run the door to its end, and leave."""
    log(settings)
    for name, level in _TALKATIVE.items():
        logging.getLogger(name).setLevel(level)
    # Not `asyncio.run`: at its end it joins the executor's threads, any of which may wait for what never comes.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(door)
    # By hand: `leave` runs nothing that was registered for the end of a process.
    spans.end()
    leave()


def leave(code: int = 0) -> NoReturn:
    """End the process now: everything that matters is committed, and pools would only be joined."""
    try:
        logging.shutdown()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        os._exit(code)


def take_files(most: int) -> None:
    """Let this process have so many files and connections open, or as many as the system lets it."""
    if sys.platform == "win32":
        return  # it has no such limit
    import resource

    now, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if now < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Signals:
    """The first signal stops the door in good order and leaves; a second one leaves at once."""

    def __init__(self, stop: Callable[[], Awaitable[None]]) -> None:
        self._stop = stop
        self._stopping: asyncio.Task[None] | None = None

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._heard)
            except NotImplementedError:  # Windows has no handlers on the loop
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._heard))

    def _heard(self) -> None:
        if self._stopping is not None:
            leave()
        self._stopping = asyncio.create_task(self._stop_and_leave())

    async def _stop_and_leave(self) -> None:
        try:
            await self._stop()
        except Exception:  # noqa: BLE001 - whatever it is, the process was told to leave
            _log.exception("The server could not be stopped in good order; what was cut is repeated at the next start.")
        spans.end()
        leave()
