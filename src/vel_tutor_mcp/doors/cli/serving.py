"""`serve` and `worker`: what stays until a signal comes."""

from pathlib import Path
from typing import Annotated

import typer

from vel_tutor_mcp.errors import InputError


def serve(
    transport: Annotated[str, typer.Option(help="How clients connect: stdio, sse or http.")] = "stdio",
    host: Annotated[str, typer.Option(help="With sse and http: the address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With sse and http; 0 takes any that is free.")] = 4000,
    certfile: Annotated[Path | None, typer.Option(help="A certificate (PEM), to serve https.")] = None,
    keyfile: Annotated[Path | None, typer.Option(help="Its key, where that is in a file of its own.")] = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Everyone who can connect is the local user.")] = False,
) -> None:
    """Serve MCP over stdin and stdout, or over HTTP at /mcp and /sse."""
    match transport:
        case "stdio":
            from vel_tutor_mcp.doors import stdio

            stdio.start()
        case "sse" | "http":
            from vel_tutor_mcp.doors import http
            from vel_tutor_mcp.settings import load_settings

            http.serve(load_settings(), http.Way(transport, host, port, not no_auth, certfile, keyfile))
        case _:
            raise InputError("There is no such transport; clients connect over stdio, sse or http; use one of these.")


def worker() -> None:
    """Run tasks without serving anyone, beside servers on the same database."""
    from vel_tutor_mcp.doors import worker as door
    from vel_tutor_mcp.settings import load_settings

    door.work(load_settings())
