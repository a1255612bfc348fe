"""What traces cost: a whole task with traces sent to a collector, and with none wanted, against a server that has not
even the packages for them.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from durable import ROUNDS, WORDS, costs, cpu, task
from measure import Result, against, both_in_turn, fewer
from stdio import OURS, StdioServer, environment
from upstream import upstream

_WITHOUT = (
    "import runpy, sys; sys.modules['opentelemetry.sdk'] = None; "
    "runpy.run_module('vel_tutor_mcp', run_name='__main__', alter_sys=True)"
)


async def results(share: float) -> list[Result]:
    with ExitStack() as stack:
        collector = stack.enter_context(_collector())
        provider = stack.enter_context(upstream(WORDS))

        def server(command: tuple[str, ...], variables: Mapping[str, str] = {}) -> StdioServer:
            folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
            started = stack.enter_context(StdioServer(command, environment(folder, provider.base_url, **variables)))
            started.initialize()
            return started

        servers = {
            "off": server(OURS),
            "on": server(OURS, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}),
        }
        without = server(("-c", _WITHOUT))
        found: list[Result] = []
        for name, ours in servers.items():
            taken = await both_in_turn(
                costs(ours, provider, lambda ours=ours: task(ours)),  # type: ignore[misc]  # the default binds it
                costs(without, provider, lambda: task(without)),
                rounds=fewer(ROUNDS, share),
            )
            found += [
                against(f"task, traces {name}, p50 / not installed", taken, lambda cost: cost.usual, unit="ms"),
                cpu(f"task, traces {name}, CPU / not installed", taken),
            ]
    return found


@contextmanager
def _collector() -> Iterator[str]:
    """Takes everything, and looks at nothing."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
