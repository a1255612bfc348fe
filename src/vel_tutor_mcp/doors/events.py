"""Server-sent events as every door writes them: their headers, their data, and what says that a stream is alive."""

import json
from typing import Any

# By the second nginx is told not to hold the stream back until its buffer is full.
HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
# A comment whenever so long nothing was told: clients and what is between leave a stream that is silent for a minute.
HEARTBEAT, HEARTBEAT_SECONDS = ": heartbeat\n\n", 15.0
# Not ends of a line to who reads events by the book, but to who takes them apart by `str.splitlines`.
_ENDS_OF_LINES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "\x85\u2028\u2029"}


def data_of(value: dict[str, Any]) -> str:
    """The line of an event that holds this, with the event's end."""
    return f"data: {json.dumps(value, ensure_ascii=False).translate(_ENDS_OF_LINES)}\n\n"
