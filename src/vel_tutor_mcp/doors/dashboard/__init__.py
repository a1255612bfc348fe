"""The dashboard: one page in two homes, at /dashboard in a browser and as an MCP App inside a client."""
