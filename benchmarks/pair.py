"""Our server and a bare one that keeps nothing, both over stdio and on one provider."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from stdio import BARE, OURS, StdioServer, environment
from upstream import Upstream, upstream


class Pair(NamedTuple):
    provider: Upstream
    ours: StdioServer
    bare: StdioServer


@contextmanager
def pair(url: str | None, words: int, **values: str) -> Iterator[Pair]:
    """Both greeted; ours on that database, else on a file, with these settings."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        provider = stack.enter_context(upstream(words))
        of_database = {} if url is None else {"VEL_TUTOR_DATABASE_URL": url}
        variables = environment(folder, provider.base_url, **values, **of_database)
        ours = stack.enter_context(StdioServer(OURS, variables))
        bare = stack.enter_context(StdioServer(BARE, variables))
        for server in (ours, bare):
            server.initialize()
        yield Pair(provider, ours, bare)
