"""The least that the SDKs can serve: what our start, our memory and our tasks are compared with."""

from functools import cache
from typing import TYPE_CHECKING

from mcp.server import MCPServer

if TYPE_CHECKING:
    from openai import AsyncOpenAI

server = MCPServer("bare", log_level="WARNING")  # as ours: INFO writes a line for each call


@server.tool()
def echo(text: str) -> str:
    """Return the text."""
    return text


@server.tool()
async def ask(prompt: str) -> str:
    """Return a model's answer, of which nothing is kept."""
    answer = await _client().chat.completions.create(
        model="simulated-large", messages=[{"role": "user", "content": prompt}], max_completion_tokens=1000
    )
    return answer.choices[0].message.content or ""


@cache
def _client() -> "AsyncOpenAI":
    from openai import AsyncOpenAI  # only where it is asked for: `echo` starts without it

    return AsyncOpenAI(max_retries=0)


if __name__ == "__main__":
    server.run("stdio")
