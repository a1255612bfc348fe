"""`vel-tutor-mcp` with no argument serves MCP over stdio: the straight way, without loading the command line."""

import gc
import sys

_STRAIGHT: tuple[list[str], ...] = ([], ["serve"], ["serve", "--transport", "stdio"])

# As shells tell it: 128, and the number of SIGINT.
_INTERRUPTED = 130
_YOUNG_OBJECTS = 50_000


def main() -> None:
    # Loading makes many objects and no garbage; the collector would take a tenth of the time to the first answer.
    if sys.argv[1:] not in _STRAIGHT:
        gc.set_threshold(_YOUNG_OBJECTS)
        try:
            from vel_tutor_mcp.doors.cli import run

            run()
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)
        return
    gc.disable()  # `doors.opening` switches it on again once everything is loaded
    from vel_tutor_mcp.doors.stdio import start

    start()


if __name__ == "__main__":
    main()
