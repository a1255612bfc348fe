"""The least that FastAPI can serve: one route, of which nothing is looked up."""

import socket
from typing import Any

import uvicorn
from fastapi import FastAPI

app = FastAPI()
AGENT = {
    "id": "4f325ba1-3063-46b4-a829-20621e7efa17",
    "name": "default",
    "type": "mcp_orchestrator",
    "status": "active",
    "version": 1,
    "config": {"system_prompt": "", "providers": [], "model_preferences": {}, "policy": "balanced", "max_retries": 3},
    "created_at": "2026-11-26T02:50:12.311Z",
    "updated_at": "2026-11-26T02:50:12.311Z",
}


@app.get("/api/agents/default")
async def default() -> dict[str, Any]:
    return AGENT


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    # As ours: else the kernel keeps the second packet of each answer until the first is acknowledged, for 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"serving at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, http="h11", ws="none", log_config=None, access_log=False, timeout_keep_alive=75)
    uvicorn.Server(config).run(sockets=[listener])
