"""Ports for servers that must know theirs before they start, or keep it while they are down."""

import socket
from contextlib import closing, suppress
from random import SystemRandom

HOST = "127.0.0.1"
# Below those that systems give to clients: while the server is down, no connection may take its port.
_PORTS = range(15_000, 32_000)
# Not the generator that a seed sets: processes with one seed, begun at once, would all draw the same ports.
_RANDOM = SystemRandom()


def free_port() -> int:
    for port in _RANDOM.sample(_PORTS, 50):
        with closing(socket.socket()) as candidate, suppress(OSError):
            candidate.bind((HOST, port))
            return port
    raise OSError(f"No port between {_PORTS.start} and {_PORTS.stop} is free.")
