"""The bridge to Task Master: what its `tasks.json` says, written back to through its own MCP server alone."""
