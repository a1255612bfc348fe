"""Begins to send traces where the environment wants it."""

import logging
import os
import threading

from vel_tutor_mcp.tracing import spans
from vel_tutor_mcp.tracing.wanted import wanted

_log = logging.getLogger(__name__)
_once = threading.Lock()


def begin() -> None:
    """Send traces from now on, where they are wanted; where they cannot be sent, say why. Blocks: it loads much."""
    asked = wanted(os.environ)
    if asked.advice:
        _log.warning("Traces are not exported; %s; %s.", asked.why, asked.advice)
    if asked.endpoint is None:
        return
    try:
        with _once:
            if not spans.on():
                from vel_tutor_mcp.tracing.otlp import Otlp

                spans.send_to(Otlp(asked.endpoint))
    except Exception as problem:  # noqa: BLE001 - the SDK reads dozens of variables: none of them may keep us from working
        _log.warning("Traces are not exported; %s; correct the OTEL_ variables.", type(problem).__name__)
