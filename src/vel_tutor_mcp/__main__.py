"""`vel-tutor-mcp` with no argument serves MCP over stdio: the straight way, without loading the command line."""

import gc
import os
import sys

_STRAIGHT: tuple[list[str], ...] = ([], ["serve"], ["serve", "--transport", "stdio"])

# As shells tell it: 128, and the number of SIGINT.
_INTERRUPTED = 130
_YOUNG_OBJECTS = 50_000


def main() -> None:
    _open_streams()
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


def _open_streams() -> None:
    """In the place of a stream that whoever started us has closed, the null device: else the next file or connection
    that is opened would have its number, and Python has None there, which nobody expects.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It gets the lowest number that is free: this stream's.
            stream = open(os.devnull, mode, encoding="utf-8", errors="replace")  # noqa: PTH123, SIM115 - to the end
            os.set_inheritable(stream.fileno(), True)  # noqa: FBT003 - it has no name
            setattr(sys, name, stream)


if __name__ == "__main__":
    main()
