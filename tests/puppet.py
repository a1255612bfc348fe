"""A model of three vendors' wires that has one tool called, and is content with whatever comes back."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from hosting import hosted
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOOL = "agent_list"
SAID = "These are your agents."

Message = dict[str, Any]
# The events of an answer: a call of this tool, or where there is none, words.
Wire = Callable[[Message | None], list[Message]]


def messages(tool: Message | None) -> list[Message]:
    """Anthropic's."""
    block, delta, why = (
        ({"type": "tool_use", "id": "call_1", "name": tool["name"], "input": {}}, {"partial_json": "{}"}, "tool_use")
        if tool
        else ({"type": "text", "text": ""}, {"text": SAID}, "end_turn")
    )
    kind = "input_json_delta" if tool else "text_delta"
    usage = {"input_tokens": 1, "output_tokens": 1}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "puppet", "content": [], "usage": usage}
    return [
        {"type": "message_start", "message": head},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **delta}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": why, "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]


def responses(tool: Message | None) -> list[Message]:
    """OpenAI's, as Codex speaks it."""
    words = {"type": "message", "role": "assistant", "id": "item_1", "content": [{"type": "output_text", "text": SAID}]}
    item = {"type": "function_call", "call_id": "call_1", "arguments": "{}", **tool} if tool else words
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    return [
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "resp_1", "usage": usage}},
    ]


def generate_content(tool: Message | None) -> list[Message]:
    """Google's."""
    part = {"functionCall": {"name": tool["name"], "args": {}}} if tool else {"text": SAID}
    content = {"role": "model", "parts": [part]}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return [{"candidates": [{"content": content, "finishReason": "STOP"}], "usageMetadata": usage}]


_WIRES: dict[str, Wire] = {
    "messages": messages,
    "responses": responses,
    "streamGenerateContent": generate_content,
}
# What Claude Code offers while it has not heard of every server.
_WAIT = "WaitForMcpServers"


@asynccontextmanager
async def puppet() -> AsyncIterator[str]:
    """The URL of one."""
    app = Starlette(routes=[Route("/{path:path}", _Puppet().answer, methods=["GET", "HEAD", "POST"])])
    async with hosted(app) as url:
        yield url


class _Puppet:
    def __init__(self) -> None:
        self._has_called = False

    async def answer(self, request: Request) -> Response:
        wire = next((made for end, made in _WIRES.items() if request.url.path.endswith(end)), None)
        body = await request.body()
        if wire is None or request.method != "POST":
            return JSONResponse({})
        text = "".join(_event(event) for event in wire(self._call(json.loads(body).get("tools"))))
        return Response(text, media_type="text/event-stream")

    def _call(self, tools: Any) -> Message | None:
        """The tool, once; while it is not there the one that waits for it."""
        if self._has_called:
            return None
        found = next(named(tools, TOOL), None)
        self._has_called = found is not None
        return found or next(named(tools, _WAIT), None)


def _event(event: Message) -> str:
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n"


def named(tools: Any, wanted: str, group: str = "") -> Iterator[Message]:
    """What a call of the wanted tool names, where it is among these, which may be grouped."""
    if isinstance(tools, list):
        for each in tools:
            yield from named(each, wanted, group)
    elif isinstance(tools, dict):
        name = tools.get("name") or ""
        if name.endswith(wanted):
            yield {"name": name, **({"namespace": group} if group else {})}
        for inner in ("tools", "functionDeclarations"):
            yield from named(tools.get(inner), wanted, name)
