"""`serve`: the doors that stay open."""

from typing import Annotated

import typer

from vel_tutor_mcp.errors import InputError


def serve(
    transport: Annotated[str, typer.Option(help="How clients connect: stdio.")] = "stdio",
) -> None:
    """Serve MCP."""
    from vel_tutor_mcp.doors.stdio import start

    if transport != "stdio":
        raise InputError(
            "This version serves over stdio only; other transports are not built yet; use --transport stdio."
        )
    start()
