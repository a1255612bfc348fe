"""One prompt asked of several models over REST: all or none, side by side, blind, rated, and told apart from chance."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from people import Front
from world import Providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.auth.accounts import RateLimits
from vel_tutor_mcp.errors import InputError, NotFound, TooManyTries
from vel_tutor_mcp.models import AgentConfig, AgentType, Principal, TaskType
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.routing.health import Breaker
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.comparisons.request import ComparisonRequest
from vel_tutor_mcp.services.comparisons.told import full_comparison
from vel_tutor_mcp.services.rates import Quota, Rates

pytestmark = pytest.mark.anyio

MINI, OSS = "openai/gpt-4o-mini", "groq/openai/gpt-oss-20b"
MODELS = [MINI, OSS, "openai/gpt-4o"]
HIDDEN = ("model", "cost_usd", "total_ms", "first_token_ms", "tokens_out")


async def posted(http: httpx2.AsyncClient, path: str, expected: int, key: str | None = None, **body: Any) -> Any:
    reply = await http.post(path, json=body, headers={"idempotency-key": key} if key else {})
    assert reply.status_code == expected, reply.text
    return reply.json()


async def asked(http: httpx2.AsyncClient, path: str, **params: Any) -> Any:
    reply = await http.get(path, params=params)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def ended(app: App, me: Principal, request: ComparisonRequest) -> dict[str, Any]:
    """The comparison, once every task of it has ended."""
    comparison = await app.comparisons.start(me, request)
    told = await app.comparisons.tell(me, comparison.id)
    await asyncio.gather(*(app.tasks.follow(me, task, 20) for task in told.tasks))
    return full_comparison(await app.comparisons.tell(me, comparison.id))


def wanted(*models: str, prompt: str = "Say hello", **fields: Any) -> ComparisonRequest:
    return ComparisonRequest(prompt=prompt, models=models or tuple(MODELS), **fields)


def by_model(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["model"]: entry for entry in told["entries"]}


async def test_a_prompt_is_answered_by_each_model_and_shown_side_by_side(
    app: App, http: httpx2.AsyncClient, providers: Providers
) -> None:
    for provider in (providers.openai, providers.groq):
        provider.answer = lambda body: f"I am {body['model']}"
    body = {"prompt": "Who are you?", "models": ["gpt-4o-mini", OSS, "openai/gpt-4o"], "task_type": "general"}
    started = await posted(http, "/api/comparisons", 201, key := f"{uuid4()}", **body)
    assert (started["status"], started["models"], started["blind"]) == ("in_progress", MODELS, False)
    assert (await posted(http, "/api/comparisons", 201, key, **body))["id"] == started["id"]
    refused = await posted(http, "/api/comparisons", 409, key, **body | {"prompt": "Who?"})
    assert f"comparison {started['id']} with another request" in refused["error"]["message"]

    for entry in started["entries"]:
        await app.tasks.follow(app.local_principal, entry["task"], 20)
    told = await asked(http, f"/api/comparisons/{started['id']}")
    assert (told["status"], told["task_type"], told["prompt"]) == ("completed", "general", "Who are you?")
    assert [entry["label"] for entry in told["entries"]] == ["A", "B", "C"]
    assert {name: entry["output"] for name, entry in by_model(told).items()} == {
        name: f"I am {name.partition('/')[2]}" for name in MODELS
    }
    assert told["cost_usd"] == pytest.approx(sum(entry["cost_usd"] for entry in told["entries"]))
    for entry in told["entries"]:
        task = await asked(http, f"/api/tasks/{entry['task']}")
        assert [f"{row['provider']}/{row['model']}" for row in task["attempts"]] == [entry["model"]]
        assert (entry["cost_usd"], entry["tokens_out"]) == (task["cost_usd"], task["tokens_out"])
        assert entry["total_ms"] == task["attempts"][0]["total_ms"]
    newest = (await asked(http, "/api/comparisons", limit=1))["data"][0]
    assert (newest["id"], newest["models"], newest["answered"], newest["rated"]) == (told["id"], MODELS, 3, 0)


async def test_blind_nothing_tells_the_models_apart_until_every_answer_is_rated(
    app: App, http: httpx2.AsyncClient
) -> None:
    told = await ended(app, app.local_principal, wanted())
    path, stamp = f"/api/comparisons/{told['id']}", (await asked(http, "/api/changes"))["stamp"]
    for number, entry in enumerate(told["entries"], 1):
        blind = await asked(http, path, blind=True)
        assert (blind["blind"], blind["cost_usd"], blind["models"]) == (True, None, MODELS)
        assert [row[name] for row in blind["entries"] for name in HIDDEN] == [None] * 3 * len(HIDDEN)
        assert [row["output"] for row in blind["entries"]] == [row["output"] for row in told["entries"]]
        await posted(http, f"/api/tasks/{entry['task']}/rate", 200, rating=number)
    seen = await asked(http, path, blind=True)
    assert (seen["blind"], [row["rating"] for row in seen["entries"]]) == (False, [1, 2, 3])
    assert [row["model"] for row in seen["entries"]] == [row["model"] for row in told["entries"]]
    assert "comparisons" in (await asked(http, "/api/changes", since=stamp))["changed"]


@pytest.mark.parametrize(
    ("models", "fields", "words"),
    [
        ((MINI,), {}, "There are 1 models; a comparison is of 2 to 5"),
        (
            (MINI, "openai/gpt-4o-mimi"),
            {},
            "Model 2 of 2: No such model; it is not in the catalog; did you mean openai/",
        ),
        ((MINI, "gpt-4o-mini"), {}, "The model openai/gpt-4o-mini is named twice"),
        ((MINI, "perplexity/sonar"), {}, "perplexity/sonar: no key: set PERPLEXITY_API_KEY; leave them out"),
        ((MINI, OSS), {"max_cost_usd": 1e-8}, "openai/gpt-4o-mini: over budget"),
        ((MINI, OSS), {"prompt": " "}, "The prompt is empty"),
        ((MINI, OSS), {"agent": "nobody"}, "There is no such agent"),
    ],
)
async def test_where_one_model_cannot_be_asked_none_is(
    app: App, models: tuple[str, ...], fields: dict[str, Any], words: str
) -> None:
    me = app.local_principal
    before = [(await page(me, limit=1)).rows for page in (app.tasks.list, app.comparisons.list)]
    with pytest.raises(InputError) as refused:
        await app.comparisons.start(me, wanted(*models, **fields))
    assert words in str(refused.value)
    assert [(await page(me, limit=1)).rows for page in (app.tasks.list, app.comparisons.list)] == before


async def test_a_model_that_keeps_failing_is_not_asked_and_not_replaced(app: App) -> None:
    opened = Breaker(opened_at=time.time())
    app.health.restore("groq", "openai/gpt-oss-20b", opened)
    with pytest.raises(InputError, match=f"{OSS}: it failed repeatedly: its circuit is open until"):
        await app.comparisons.start(app.local_principal, wanted(MINI, OSS))


async def test_where_a_model_fails_nobody_answers_in_its_place(app: App, providers: Providers) -> None:
    providers.openai.faults = [Fault(kind="status", status=500)]
    me, once = app.local_principal, AgentConfig(max_retries=0)
    agent = await app.agents.create(me, f"once-{uuid4()}", AgentType.RESEARCHER, once)
    told = await ended(app, me, wanted(MINI, OSS, agent=agent.id))
    mini, oss = by_model(told)[MINI], by_model(told)[OSS]
    assert (told["status"], mini["status"], oss["status"]) == ("completed", "failed", "completed")
    assert (mini["output"], mini["total_ms"], oss["error"]) == (None, None, None)
    assert "openai/gpt-4o-mini" in mini["error"]["message"]
    assert len(providers.openai.requests) == len(providers.groq.requests) == 1


async def test_a_limit_is_for_all_models_together(app: App) -> None:
    me = app.local_principal
    told = await ended(app, me, wanted(max_cost_usd=0.01))
    limits = [(await app.tasks.get(me, entry["task"])).max_cost_nanousd or 0 for entry in told["entries"]]
    assert all(limits)
    assert 0.99 * 10**7 < sum(limits) <= 10**7
    assert told["status"] == "completed"


async def test_ratings_decide_between_models_once_there_are_enough(app: App, desk: Front) -> None:
    me = (await desk.join("task_executor", "of raters")).principal
    for number in range(6):
        told = await ended(app, me, wanted(MINI, OSS, prompt=f"Question {number}", task_type=TaskType.GENERAL))
        for model, rating in ((MINI, 2), (OSS, 5)):
            await app.tasks.rate(me, by_model(told)[model]["task"], rating)
    standings = await app.comparisons.standings(me)
    assert [(row["model"], row["answers"], row["mean_rating"]) for row in standings["models"]] == [
        (OSS, 6, 5),
        (MINI, 6, 2),
    ]
    (pair,) = standings["pairs"]
    assert (pair["prompts"], pair["p_value"], pair["significant"]) == (6, 2 / 2**6, True)
    assert pair["verdict"].startswith(f"{OSS} is rated higher than {MINI}, by 3.00 points")
    of_type = [await app.comparisons.standings(me, kind) for kind in (TaskType.GENERAL, TaskType.TRANSLATION)]
    assert [found["comparisons"] for found in of_type] == [6, 0]

    stranger = (await desk.join("task_executor", "of raters")).principal
    assert (await app.comparisons.standings(stranger))["models"] == []
    assert (await app.comparisons.list(stranger)).rows == ()
    with pytest.raises(NotFound):
        await app.comparisons.tell(stranger, told["id"])
    chief = (await desk.join("org_admin", "of raters")).principal
    assert (await app.comparisons.standings(chief))["pairs"] == standings["pairs"]
    assert (await app.comparisons.tell(chief, told["id"])).ratings == {}


async def test_each_model_counts_as_a_task_and_where_not_all_may_be_asked_nothing_is_counted(
    app: App, desk: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = (await desk.join("task_executor", "of the limited")).principal
    at = record.now()
    monkeypatch.setattr(record, "now", lambda: at)  # or another hour might begin meanwhile
    await app.rates.set(app.local_principal, "user", me.user_id, RateLimits(5))
    rates = Rates(app._parts.database, app._parts.settings)
    first = await rates.admit(me, Quota.TASK, 3)
    assert (first and first.remaining) == 2
    with pytest.raises(TooManyTries, match="5 tasks an hour are taken"):
        await rates.admit(me, Quota.TASK, 3)
    assert [(await rates.admit(me, Quota.TASK)) is None for _ in range(2)] == [False, False]
    with pytest.raises(TooManyTries):
        await rates.admit(me, Quota.TASK)
