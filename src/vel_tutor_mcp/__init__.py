"""vel-tutor-mcp: the control desk of a team of AI agents, as an MCP server."""

__version__ = "0.1.0"
