"""`vel-tutor-mcp` with no argument serves MCP over stdio: the straight way, without loading the command line."""

import sys


def main() -> None:
    if sys.argv[1:] in ([], ["serve"], ["serve", "--transport", "stdio"]):
        serve_stdio()
    from vel_tutor_mcp.doors.cli import run

    run()


def serve_stdio() -> None:
    from vel_tutor_mcp.errors import ConfigurationError
    from vel_tutor_mcp.settings import load_settings

    try:
        settings = load_settings()
    except ConfigurationError as problem:
        sys.exit(f"vel-tutor-mcp: {problem}")
    from vel_tutor_mcp.doors.stdio import serve

    serve(settings)


if __name__ == "__main__":
    main()
