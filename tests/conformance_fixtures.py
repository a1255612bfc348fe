"""What the official conformance suite looks for under names of its own: leaves as any, but for tests alone.

They are put on our server as the leaves of the product are (`conformance_server.py`). Those that ask the client back
are in `conformance_questions.py`.
"""

import base64
from typing import Annotated, Any
from uuid import uuid4

from mcp.server.mcpserver import Context
from mcp_types import AudioContent, ContentBlock, EmbeddedResource, ImageContent, TextContent, TextResourceContents
from pydantic import Field
from waits import lapse

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, prompt, resource, tool
from vel_tutor_mcp.errors import Conflict
from vel_tutor_mcp.news import Followed

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGM4oKAAAAKkAQHjTKctAAAAAElFTkSuQmCC"
WAV = "UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA=="

fixture = tool("For the conformance suite", READS, Operation.AGENT_READ)


def picture() -> ImageContent:
    return ImageContent(type="image", data=PNG, mime_type="image/png")


def embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


@fixture
async def test_simple_text(desk: Desk) -> str:
    """Give a text."""
    return "This is a simple text response for testing."


@fixture
async def test_image_content(desk: Desk) -> ImageContent:
    """Give a picture."""
    return picture()


@fixture
async def test_audio_content(desk: Desk) -> AudioContent:
    """Give a sound."""
    return AudioContent(type="audio", data=WAV, mime_type="audio/wav")


@fixture
async def test_embedded_resource(desk: Desk) -> EmbeddedResource:
    """Give a resource."""
    return embedded("test://embedded-resource", "This is an embedded resource content.")


@fixture
async def test_multiple_content_types(desk: Desk) -> list[ContentBlock]:
    """Give a text, a picture and a resource."""
    data = embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return [TextContent(type="text", text="Multiple content types test:"), picture(), data]


@fixture
async def test_error_handling(desk: Desk) -> str:
    """Fail."""
    raise Conflict("This tool intentionally returns an error for testing; it never does else; call another one.")


@fixture
async def test_tool_with_progress(desk: Desk, ctx: Context) -> str:
    """Report progress three times."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100, f"{done} of 100")
        await lapse(0.05)
    return "done"


@fixture
async def test_tool_with_logging(desk: Desk, ctx: Context) -> str:
    """Tell three things by way of the protocol's log."""
    for word in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(word)
        await lapse(0.05)
    return "done"


@fixture
async def test_logging_tool(desk: Desk, ctx: Context) -> str:
    """Tell something by way of the protocol's log, which only those hear who have asked for it."""
    await ctx.info("heard by who asked for it")
    return "done"


@fixture
async def test_trigger_tool_change(desk: Desk, ctx: Context) -> str:
    """Say that there are other tools."""
    await ctx.notify_tools_changed()
    return "said"


@fixture
async def test_trigger_prompt_change(desk: Desk) -> str:
    """Make another template, which is a prompt."""
    app, me = await desk.enter()
    step = {"id": "ok", "kind": "approval", "prompt": "Go on?"}
    await app.workflows.save(me, f"template-{uuid4().hex}", {"template": True, "steps": [step]})
    return "saved"


@fixture
async def test_reconnection(desk: Desk, ctx: Context) -> str:
    """Close the stream in the middle of the call, if it is one that can be taken up again."""
    await ctx.close_sse_stream()
    return "Reconnection test completed"


@fixture
async def test_custom_header(
    desk: Desk, region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]
) -> str:
    """Say what stands in the header Mcp-Param-Region too."""
    return region


@resource("test://static-text", "Text", "text/plain")
async def static_text(desk: Desk) -> str:
    """A text."""
    return "This is the content of the static text resource."


@resource("test://static-binary", "Picture", "image/png")
async def static_binary(desk: Desk) -> bytes:
    """A picture."""
    return base64.b64decode(PNG)


@resource("test://template/{id}/data", "Data")
async def template_data(desk: Desk, id: str) -> dict[str, Any]:
    """Data of an id."""
    return {"id": id, "templateTest": True, "data": f"Data for ID: {id}"}


@resource("test://watched-resource", "Watched", "text/plain", follows=Followed.RECENT)
async def watched(desk: Desk) -> str:
    """What may be subscribed to."""
    return "Watched."


@prompt("Simple")
async def test_simple_prompt() -> str:
    """Ask nothing in particular."""
    return "This is a simple prompt for testing."


@prompt("With arguments")
async def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """Ask with two words of the user's."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@prompt("With a resource")
async def test_prompt_with_embedded_resource(resourceUri: str) -> list[ContentBlock]:
    """Ask about a resource."""
    resource = embedded(resourceUri, "Embedded resource content for testing.")
    return [resource, TextContent(type="text", text="Please process the embedded resource above.")]


@prompt("With a picture")
async def test_prompt_with_image() -> list[ContentBlock]:
    """Ask about a picture."""
    return [picture(), TextContent(type="text", text="Please analyze the image above.")]
