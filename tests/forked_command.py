"""A program for tests: `vel-tutor-mcp` as a shell starts it, forked off what has loaded the product (see `forker`).

The first argument names the socket where it is asked for. It hands on its streams and signals, and ends as that ends.
"""

import json
import os
import signal
import socket
import sys

LENGTH_BYTES = 4  # as in `forker`, which would have to be loaded


def main() -> None:
    path, *arguments = sys.argv[1:]
    told, tell = os.pipe()
    wanted = {"arguments": arguments, "cwd": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109 - pathlib is slow to load
    data = json.dumps(wanted).encode()
    with socket.socket(socket.AF_UNIX) as there, os.fdopen(told) as ends:
        there.connect(path)
        socket.send_fds(there, [len(data).to_bytes(LENGTH_BYTES, "big")], [0, 1, 2, tell])
        there.sendall(data)
        os.close(tell)
        if not (number := ends.readline()):
            sys.exit("The product could not be forked; does it load?")
        pid = int(number)
        for heeded in (signal.SIGTERM, signal.SIGINT):
            signal.signal(heeded, lambda number, _: os.kill(pid, number))
        code = int(ends.readline())
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
