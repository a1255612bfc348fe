"""The vendors that can be called here, each by a provider."""

from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.settings import Settings

# Calls are also made by who runs no tasks, such as the tests of agents.
_FEWEST_TASKS = 50


def providers_of(settings: Settings, catalog: Catalog) -> dict[str, OpenAICompatible]:
    """The providers that can be called: those with a key, and the local one where its address is set."""
    access = {
        row: (settings.base_url_of(name), settings.key_of(name, row.variable))
        for name, row in catalog.providers.items()
    }
    # Two calls for each task that may run, one of them a hedge: who finds no connection takes its provider to be down.
    most_calls = 2 * max(settings.concurrency, _FEWEST_TASKS)
    return {
        row.name: OpenAICompatible(
            row.name,
            base_url or row.base_url,
            key,
            limit_name=row.max_tokens_field,
            stream_usage=row.stream_usage,
            max_connections=most_calls,
        )
        for row, (base_url, key) in access.items()
        if key or (row.name == "local" and base_url)
    }
