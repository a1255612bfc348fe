"""A server that says the same to everyone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def vendor(answer: str, **headers: str) -> AsyncIterator[str]:
    """Its base URL; `answer` is a status and, from the second line on, a body."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        status, _, body = answer.partition("\n")
        writer.write(f"HTTP/1.1 {status}\r\n{told}Connection: close\r\nX-Simulated: 1\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
