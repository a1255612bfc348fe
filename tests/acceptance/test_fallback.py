"""One provider fails in each of the ways that providers fail; the other answers, and no key shows anywhere."""

import json
from collections.abc import AsyncIterator

import pytest
from deployment import Deployment
from planted import MARK, key
from server import Server, one_sentence
from world import Providers

from vel_tutor_mcp.providers.simulated import Fault

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def server(place: Deployment, vendors: Providers) -> AsyncIterator[Server]:
    async with place.serving(vendors.environment() | IMPATIENT) as server:
        yield server


OPENAI_THEN_GROQ = {"providers": ["openai", "groq"], "policy": "fixed", "max_retries": 0}
IMPATIENT = dict.fromkeys(
    (
        "VEL_TUTOR_FIRST_TOKEN_TIMEOUT_SECONDS",
        "VEL_TUTOR_BETWEEN_TOKENS_TIMEOUT_SECONDS",
        "VEL_TUTOR_REASONING_TIMEOUT_SECONDS",
    ),
    "2",
)
OPENAI_KEY, GROQ_KEY = key("sk-proj"), f"a key of no known form {MARK}"
UNAVAILABLE = Fault(kind="status", status=503)
A, B = "gpt-4o", "gpt-4o-mini"  # the fifth failure of one model in a minute would close it to the next test
LIMITED = "gpt-4.1-mini"  # is not asked again for as long as it says
FAULTS = {
    "503": (UNAVAILABLE, A, "it answered 503"),
    "429": (Fault(kind="status", status=429, retry_after=30), LIMITED, "it answered 429"),
    "401": (Fault(kind="status", status=401), A, "it answered 401"),
    "reset": (Fault(kind="reset"), A, "the connection failed"),
    "silence": (Fault(kind="stall", after_chunks=0), B, "it took more than 2 s for the first token"),
    "silence in mid-stream": (Fault(kind="stall", after_chunks=3), B, "it took more than 2 s for the next token"),
    "reset in mid-stream": (Fault(kind="reset", after_chunks=3), B, "the connection failed"),
    "rubbish in mid-stream": (Fault(kind="malformed", after_chunks=3), B, "its answer is not what the protocol says"),
}


@pytest.mark.parametrize("failure", FAULTS)
async def test_the_other_provider_answers_and_both_attempts_are_listed(
    server: Server, vendors: Providers, failure: str
) -> None:
    vendors.reset()
    fault, model, reason = FAULTS[failure]
    vendors.openai.always = fault
    config = OPENAI_THEN_GROQ | {"model_preferences": {"general": model}}
    await server.call("agent_create", name=failure, config=config)
    task = await server.call("task_submit", prompt="Hi", task_type="general", agent=failure, wait_seconds=15)

    assert (task["status"], task["provider"], task["partial"]) == ("completed", "groq", False)
    assert task["output"].startswith("[simulated groq/")
    failed, answered = task["attempts"]
    assert (failed["provider"], failed["model"], failed["outcome"]) == ("openai", model, "failed")
    assert reason in failed["error"]
    assert (answered["provider"], answered["outcome"], answered["error"]) == ("groq", "completed", None)


async def test_a_task_that_nobody_answers_fails_with_one_helpful_sentence(
    deployment: Deployment, providers: Providers
) -> None:
    providers.openai.always = providers.groq.always = UNAVAILABLE
    async with deployment.serving(providers.environment()) as server:
        await server.call("agent_create", name="pair", config=OPENAI_THEN_GROQ)
        task = await server.call("task_submit", prompt="Say hello", agent="pair", wait_seconds=15)

    assert (task["status"], task["error"]["code"], task["output"]) == ("failed", "no_answer", None)
    sentence = task["error"]["message"]
    assert one_sentence(sentence)
    assert all(part in sentence for part in ("openai/", "groq/", "retry the task"))
    assert MARK not in sentence


async def test_a_key_shows_nowhere_though_providers_repeat_it(deployment: Deployment, providers: Providers) -> None:
    keys = {"OPENAI_API_KEY": OPENAI_KEY, "GROQ_API_KEY": GROQ_KEY}
    providers.openai.always = Fault(kind="status", status=401, message=f"Incorrect API key provided: {OPENAI_KEY}.")
    providers.groq.always = Fault(kind="error_event", after_chunks=2, message=f"Bearer {GROQ_KEY} is unwelcome")
    environment = providers.environment() | keys | {"VEL_TUTOR_LOG_LEVEL": "DEBUG"}
    async with deployment.serving(environment) as server:
        task = await server.call("task_submit", prompt="Say hello", agent="default", wait_seconds=15)
        shown = [task, await server.call("audit_search"), await server.call("agent_test", agent="default")]
        shown.append(json.loads(await server.read("health://status")))
        server.leave()
        await server.ended()

    sent = [request.headers["authorization"] for request in providers.openai.requests + providers.groq.requests]
    assert {f"Bearer {OPENAI_KEY}", f"Bearer {GROQ_KEY}"} == set(sent)
    files = b"".join(path.read_bytes() for path in deployment.folder.rglob("*") if path.is_file())
    seen = json.dumps(shown).encode() + server.stdout + server.stderr + files
    assert task["status"] == "failed"
    assert b"it answered 401" in seen
    assert OPENAI_KEY.encode() not in seen
    assert GROQ_KEY.encode() not in seen
