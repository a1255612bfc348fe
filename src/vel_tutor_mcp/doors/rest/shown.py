"""What REST answers with: the shapes of `services.reports`, with the original's names of fields beside ours. (Pure.)"""

from typing import Any

from vel_tutor_mcp.doors.reply import answer_text
from vel_tutor_mcp.services.agents import AgentTest
from vel_tutor_mcp.services.reports import Told, full_task, listed_task, shown_decision, shown_usd
from vel_tutor_mcp.services.run_reports import ToldRun, full_run
from vel_tutor_mcp.task_lists import ListedTask


def described_task(task: ListedTask) -> dict[str, Any]:
    row = listed_task(task)
    return row | {"description": row["prompt"]}


def shown_task(told: Told) -> dict[str, Any]:
    """Everything about the task, its prompt whole."""
    task, full = told.task, full_task(told)
    return full | {
        "prompt": task.prompt,
        "agent_id": task.agent_id,
        "description": task.prompt,
        "parameters": task.parameters,
        "status_url": f"/api/tasks/{task.id}",
        "result": _result(full),
        "history": [row | {"step": row["kind"], "timestamp": row["at"]} for row in full["history"]],
    }


def shown_run(told: ToldRun) -> dict[str, Any]:
    """Everything about the run; each step has the ids of its tasks, by item."""
    full = full_run(told)
    made = {name: list(tasks.ids) for name, tasks in told.tasks.items()}
    return full | {"steps": [step | {"task_ids": made.get(step["id"], [])} for step in full["steps"]]}


def _result(full: dict[str, Any]) -> dict[str, Any] | None:
    """The answer as the original had it; None while there is none."""
    if full["output"] is None:
        return None
    return {
        "output": full["output"],
        "partial": full["partial"],
        "provider_used": full["provider"],
        "model": full["model"],
        "model_used": full["model"],
        "execution_time_ms": full["timing"]["total_ms"],
        "tokens_used": full["tokens_in"] + full["tokens_out"],
        "cost_estimate_usd": full["cost_usd"],
    }


def shown_test(test: AgentTest, test_id: str, took_ms: int) -> dict[str, Any]:
    """What a test of an agent found; `test_id` is the task's where a call was made."""
    told, first = test.told, next(iter(test.decision.candidates), None)
    lines = [f"{'ok' if ok else 'FAILED'}: {name}: {detail}" for name, ok, detail in test.checks]
    return {
        "test_id": told.task.id if told else test_id,
        "status": "passed" if test.ok else "failed",
        "result": answer_text(full_task(told)["output"]) if told else "\n".join(lines),
        "execution_time_ms": took_ms,
        "provider_used": told.task.provider if told else first and first.provider,
        "model": told.task.model if told else first and first.model,
        "checks": [{"check": name, "ok": ok, "detail": detail} for name, ok, detail in test.checks],
        "estimated_tokens_in": test.estimated_tokens_in,
        "estimated_cost_usd": shown_usd(test.estimated_cost_nanousd),
        "decision": shown_decision(test.decision),
        "task": shown_task(told) if told else None,
    }
