"""The page of prompts."""

import asyncio

from mcp_types import Prompt

from generate.markdown import code, sentence, table
from generate.tools import server

_HEAD = """\
# Prompts
What a person starts in an MCP client. A prompt is offered where its caller has all the tools that it speaks of. Every
workflow that is saved as a template is one more, with its inputs as arguments.

"""


def page() -> str:
    prompts = [prompt for prompt in asyncio.run(server().list_prompts()) if prompt.name in server().tools_of_prompts]
    rows = [
        (f"`{prompt.name}`", sentence(prompt.description or ""), _arguments(prompt),
         code(server().tools_of_prompts[prompt.name]))
        for prompt in prompts
    ]  # fmt: skip
    return _HEAD + table(("prompt", "does", "arguments", "speaks of"), rows)


def _arguments(prompt: Prompt) -> str:
    return "; ".join(
        f"`{row.name}`{'' if row.required else ' (optional)'}: {row.description or ''}"
        for row in prompt.arguments or ()
    )
