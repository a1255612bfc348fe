"""Calls that are not waited for long, where a provider never says the next word."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from vel_tutor_mcp.providers.base import Timeouts
from vel_tutor_mcp.services import asking
from vel_tutor_mcp.settings import Settings


@contextmanager
def impatient(*waits: str) -> Iterator[None]:
    """Calls that begin meanwhile wait no longer than a second for this; later ones as long as a busy machine takes."""
    usual, seconds = asking.timeouts, {f"{wait}_timeout_seconds": 1.0 for wait in waits}

    def timeouts(settings: Settings, *of: Any) -> Timeouts:
        return usual(settings.model_copy(update=seconds), *of)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "timeouts", timeouts)
        yield
