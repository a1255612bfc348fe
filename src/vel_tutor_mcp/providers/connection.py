"""What calls of one vendor go through: connections, and the headers that the SDK would send."""

from dataclasses import dataclass

import httpx2

from vel_tutor_mcp.providers.environment import by_environment
from vel_tutor_mcp.providers.outbound import Carrier, trusted_by_default
from vel_tutor_mcp.providers.pools import CONNECTIONS, KEEP_ALIVE_SECONDS, Pools

_NO_KEY = "none"


@dataclass(frozen=True, slots=True)
class Connection:
    pools: Pools
    headers: httpx2.Headers
    completions: httpx2.URL
    models: httpx2.URL


def connect(
    base_url: str, key: str | None, most_calls: int, transport: Carrier | None, *, own_account: bool
) -> Connection:
    """Blocks for as long as the SDK takes to load; nothing is sent. `own_account` is whether OPENAI_* variables may
    name the account; see `OpenAICompatible` for the rest.

    Raises:
        ConfigurationError: the environment names a proxy or certificates that cannot be used.
    """
    import openai  # half a second of CPU, which a process that calls no provider does not pay

    limits = httpx2.Limits(
        max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=KEEP_ALIVE_SECONDS
    )

    def client_of_pool() -> httpx2.AsyncClient:
        return openai.DefaultAsyncHttpxClient(
            limits=limits,
            verify=trusted_by_default(),
            transport=transport and transport(),
            follow_redirects=transport is None,
        )

    pools = by_environment(lambda: Pools(most_calls, client_of_pool))
    # The SDK insists on a key, also where the server wants none.
    client = openai.AsyncOpenAI(api_key=key or _NO_KEY, base_url=base_url, http_client=pools.first)
    if not own_account:
        # The SDK takes these from OPENAI_* variables, which may hold secrets, and would send them to every vendor.
        client.organization = client.project = None
        client._custom_headers = {}  # noqa: SLF001 - there is no public way
    told = {**client.default_headers, "Authorization": f"Bearer {client.api_key}"}
    headers = pools.first.headers.copy()
    # Those that the SDK leaves out have an object of its own for a value.
    headers.update({name: value for name, value in told.items() if isinstance(value, str)})
    # The SDK ends it with a slash, but for one that has no path.
    root = str(client.base_url).rstrip("/")
    return Connection(pools, headers, httpx2.URL(f"{root}/chat/completions"), httpx2.URL(f"{root}/models"))
