"""The models of the local server: it is asked for them, unless the user lists some."""

import asyncio
import logging
from collections.abc import Mapping

from vel_tutor_mcp.errors import ProviderError
from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible
from vel_tutor_mcp.routing.catalog import Catalog

_SECONDS = 2.0
# Such models turn text into vectors and cannot answer.
_EMBEDS = "embed"

_log = logging.getLogger(__name__)


async def with_local_models(catalog: Catalog, providers: Mapping[str, OpenAICompatible]) -> Catalog:
    """The catalog with the models that the local server says it has, if there is one and it answers soon."""
    local = providers.get("local")
    if local is None or any(row.provider == "local" for row in catalog.models):
        return catalog
    try:
        # Before the time runs: it imports the SDK, which takes a good part of it.
        await local.connected()
        async with asyncio.timeout(_SECONDS):
            names = await local.list_models()
    except (ProviderError, TimeoutError) as problem:
        why = str(problem).rstrip(".") or f"it took more than {_SECONDS:g} s to list them"
        _log.warning("The local server's models are not known; %s; they are asked for at the next start.", why)
        return catalog
    return catalog.with_found("local", [name for name in names if _EMBEDS not in name])
