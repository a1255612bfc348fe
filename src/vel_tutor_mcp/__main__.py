"""`vel-tutor-mcp` with no argument serves MCP over stdio: the straight way, without loading the command line."""

import sys

_STRAIGHT: tuple[list[str], ...] = ([], ["serve"], ["serve", "--transport", "stdio"])


def main() -> None:
    if sys.argv[1:] not in _STRAIGHT:
        from vel_tutor_mcp.doors.cli import run

        run()
        return
    from vel_tutor_mcp.doors.stdio import start

    start()


if __name__ == "__main__":
    main()
