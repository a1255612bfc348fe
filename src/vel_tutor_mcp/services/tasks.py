"""Tasks from the outside: submit, look, wait, cancel, retry, rate. `services.answers` does the work itself."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar
from uuid import uuid4

from vel_tutor_mcp.errors import Conflict, InputError, NoCandidate, Unavailable
from vel_tutor_mcp.execution.engine import Engine
from vel_tutor_mcp.models import (
    MAX_PROMPT_CHARACTERS,
    Agent,
    AgentStatus,
    NanoUsd,
    News,
    Page,
    Principal,
    Task,
    TaskRequest,
    TaskStatus,
    Work,
)
from vel_tutor_mcp.routing.ledger import nano_usd
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.answers import Answers
from vel_tutor_mcp.services.hub import Hub, Listener
from vel_tutor_mcp.services.inputs import check_budget, check_text, is_text
from vel_tutor_mcp.services.lookup import agent_of, spelt, task_of
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.services.schemas import check_schema
from vel_tutor_mcp.services.wire import Wire
from vel_tutor_mcp.store import attempts, audit, history, tasks
from vel_tutor_mcp.store.audit import canonical
from vel_tutor_mcp.store.database import Database, Transaction, unbroken

Tell = Callable[[News], Awaitable[None]]
Looked = TypeVar("Looked")

MAX_WAIT_SECONDS = 50
_DATABASE_AWAY_SECONDS = 0.25
_NEWS_SECONDS = 0.25
_MAX_PARAMETERS_BYTES = 100_000
_MAX_KEY_CHARACTERS = 200


class Tasks:
    """What the product does with tasks, for every door."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        answers: Answers,
        hub: Hub,
        wire: Wire,
        configured: frozenset[str],
    ) -> None:
        self._database = database
        self._configured = configured
        self._engine = engine
        self._answers = answers
        self._hub = hub
        self._wire = wire

    @unbroken
    async def submit(self, principal: Principal, request: TaskRequest) -> Task:
        """Store the task and begin it, or let it wait its turn. The same key with the same request: the same task.

        Raises:
            InputError: a field is out of bounds, or the key was used for another request.
            NotFound: no such agent. Conflict: the agent is not active. NoCandidate: no provider can be called at all.
        """
        _check(request)
        async with self._database.write() as tx:
            if earlier := await _same_request(tx, principal, request):
                return earlier
            self._refuse_without_providers()
            agent = await _usable_agent(tx, principal, request.agent)
            subject = Subject(_task(principal, agent, request), principal)
            await _store(tx, subject, request, agent)
            self._answers.own(subject.task.id)
            admitted = await self._answers.admit(tx)
        await self._begin(admitted)
        return subject.task

    @unbroken
    async def get(self, principal: Principal, task_id: str) -> Task:
        """The task.

        Raises:
            NotFound: there is none of this id that the principal may see.
        """
        async with self._database.read() as tx:
            return await task_of(tx, principal, task_id)

    @unbroken
    async def tell(self, principal: Principal, task_id: str) -> Told:
        """The task with its attempts, decision and history.

        Raises:
            NotFound: there is none of this id that the principal may see.
        """
        async with self._database.read() as tx:
            task = await task_of(tx, principal, task_id)
            return Told(
                task=task,
                attempts=await attempts.of_task(tx, task.id),
                decision=await history.decision(tx, task.id, task.attempt_set),
                history=await history.events(tx, task.id),
            )

    @unbroken
    async def list(
        self,
        principal: Principal,
        *,
        status: TaskStatus | None = None,
        agent: str | None = None,
        query: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[Task]:
        """Tasks that the principal may see, newest first; `query` is looked for in the prompts."""
        async with self._database.read() as tx:
            agent_id = (await agent_of(tx, principal, agent)).id if agent else None
            if query and not is_text(query):
                return Page((), (), more=False)
            return await tasks.page(tx, principal, limit, cursor, status=status, agent_id=agent_id, text=query)

    async def follow(self, principal: Principal, task_id: str, seconds: float, tell: Tell | None = None) -> Told:
        """Wait until the task ends or the product closes, at most `seconds`, telling its news four times a second.

        Raises:
            NotFound: no such task. Unavailable: the database was away when the time was over.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(seconds, MAX_WAIT_SECONDS)
        with self._hub.listen(spelt(task_id)) as listener:
            task = await _patient(lambda: self.get(principal, task_id), task_id, deadline)
            if tell and not task.status.ended and not listener.has_heard:
                await tell(News(0, task.status.value.replace("_", " ")))  # for who joins late
            if not (task.status.ended or self._answers.closing):
                await _hear(listener, deadline, tell)
            told = await _patient(lambda: self.tell(principal, task_id), task_id, deadline)
            while not (told.task.status.ended or self._answers.closing or loop.time() >= deadline):
                await _hear(listener, deadline, tell)
                told = await _patient(lambda: self.tell(principal, task_id), task_id, deadline)
        return told

    @unbroken
    async def cancel(self, principal: Principal, task_id: str) -> Told:
        """Stop the task; its partial text is kept. Returns when it has stopped, or after a second.

        Raises:
            NotFound: no such task. Conflict: it has ended already.
        """
        async with self._database.write() as tx:
            task = await task_of(tx, principal, task_id)
            subject = Subject(task, principal)
            if task.status.ended:
                raise Conflict(
                    f"Task {task.id} is {task.status.value} already; only a task that has not ended can be "
                    "cancelled; see its result with task_get."
                )
            await tasks.change(tx, task.id, record.now(), cancel_requested=True)
            if task.status is TaskStatus.PENDING:
                waited = f"while it waited for {task.waits_for}" if task.waits_for else "before it began"
                await record.end(tx, subject, TaskStatus.CANCELLED, f"cancelled {waited}")
        subject.publish(self._hub)
        self._answers.cancel(task.id)
        self._wire.tell_cancel(task.id)
        return await self.follow(principal, task.id, 1)

    @unbroken
    async def retry(self, principal: Principal, task_id: str) -> Task:
        """Run a failed or cancelled task again, as a new attempt set with a fresh route. Its budget goes on.

        Raises:
            NotFound: no such task, or its agent is gone. NoCandidate: as `submit`.
            Conflict: it has not failed or been cancelled, or its agent is not active.
        """
        self._refuse_without_providers()
        async with self._database.write() as tx:
            task = await task_of(tx, principal, task_id)
            if task.status not in {TaskStatus.FAILED, TaskStatus.CANCELLED}:
                raise Conflict(
                    f"Task {task.id} is {task.status.value}; only a failed or cancelled one can be retried; "
                    "submit a new task to ask again."
                )
            await _usable_agent(tx, principal, task.agent_id)
            await self._reopen(tx, Subject(task, principal))
            admitted = await self._answers.admit(tx)
        await self._begin(admitted)
        return await self.get(principal, task.id)

    @unbroken
    async def rate(self, principal: Principal, task_id: str, rating: int, comment: str | None = None) -> Task:
        """Keep a rating of 1-5 for the answer; a later one replaces it.

        Raises:
            NotFound: no such task. Conflict: it has no answer.
            InputError: the rating is not 1-5, or the comment no text.
        """
        if rating not in range(1, 6):
            raise InputError("The rating is out of range; it must be a whole number from 1 (useless) to 5 (perfect).")
        check_text("comment", comment)
        async with self._database.write() as tx:
            task = await task_of(tx, principal, task_id)
            if task.status is not TaskStatus.COMPLETED:
                raise Conflict(
                    f"Task {task.id} is {task.status.value}; only a completed task has an answer to rate; "
                    "wait for it with task_get."
                )
            at = record.now()
            await tasks.rate(tx, principal, task.id, rating, comment, at)
            await audit.append(tx, principal, "task_rated", f"task:{task.id}", {"rating": rating}, at)
        return task

    async def _begin(self, admitted: Sequence[Work]) -> None:
        if not admitted and self._answers.full:
            self._wire.tell_work()  # another process may have room
        await self._answers.start(admitted)

    def _refuse_without_providers(self) -> None:
        if not self._configured:
            raise NoCandidate(
                "No model can be asked; no provider has a key; set OPENAI_API_KEY, GROQ_API_KEY or PERPLEXITY_API_KEY, "
                "or VEL_TUTOR_LOCAL_BASE_URL, in this server's environment and start it again."
            )

    async def _reopen(self, tx: Transaction, subject: Subject) -> None:
        task, at = subject.task, record.now()
        await tasks.change(
            tx,
            task.id,
            at,
            status=TaskStatus.PENDING,
            attempt_set=task.attempt_set + 1,
            turn=1,
            not_before=None,
            waits_for=None,
            recoveries=0,
            cancel_requested=False,
            executor=self._engine.executor,
            output=None,
            partial=False,
            provider=None,
            model=None,
            error_code=None,
            error_message=None,
            retried_at=at,
            started_at=None,
            ended_at=None,
        )
        payload = {"attempt_set": task.attempt_set + 1}
        await record.note(tx, subject, "retried", "retried", 0, action="task_retried", payload=payload)


async def _patient(look: Callable[[], Awaitable[Looked]], task_id: str, deadline: float) -> Looked:
    """Look at a task; who waits for a task waits for the database too."""
    while True:
        try:
            return await look()
        except Unavailable as problem:
            if asyncio.get_running_loop().time() >= deadline:
                raise Unavailable(
                    f"Task {task_id} cannot be seen now, but what was stored goes on; ask for it later: {problem}"
                ) from None
        await asyncio.sleep(_DATABASE_AWAY_SECONDS)


async def _hear(listener: Listener, deadline: float, tell: Tell | None) -> None:
    """Pass on the task's news until it says that the task has ended, or the time is over."""
    loop = asyncio.get_running_loop()
    news: News | None = None
    while not (news and news.ended) and (left := deadline - loop.time()) > 0:
        await listener.wait(left)
        news = listener.take()
        if news and tell:
            await tell(news)
        if news and not news.ended:
            await listener.pause(min(left, _NEWS_SECONDS))


async def cancel_pending_of(tx: Transaction, principal: Principal, agent: Agent) -> list[Subject]:
    """Cancel the agent's tasks that have not begun; publish them after the commit."""
    subjects = [Subject(task, principal) for task in await tasks.pending_of_agent(tx, agent.id)]
    for subject in subjects:
        await record.end(tx, subject, TaskStatus.CANCELLED, "cancelled: its agent was deleted")
    return subjects


async def _usable_agent(tx: Transaction, principal: Principal, id_or_name: str) -> Agent:
    agent = await agent_of(tx, principal, id_or_name)
    if agent.status is not AgentStatus.ACTIVE:
        raise Conflict(
            f"The agent {agent.name} is {agent.status.value}; only an active agent takes tasks; "
            "activate it with agent_update."
        )
    return agent


async def _same_request(tx: Transaction, principal: Principal, request: TaskRequest) -> Task | None:
    if request.idempotency_key is None:
        return None
    earlier = await tasks.by_key(tx, principal, request.idempotency_key)
    if earlier is None:
        return None
    task_id, body_hash = earlier
    if body_hash != _body_hash(request):
        raise Conflict(
            f"This idempotency key was used for task {task_id} with another request; a key stands for one request; "
            "use a new key, or send the same request again."
        )
    return await task_of(tx, principal, task_id)


async def _store(tx: Transaction, subject: Subject, request: TaskRequest, agent: Agent) -> None:
    task, at = subject.task, subject.task.created_at
    await tasks.insert(tx, task)
    if request.idempotency_key is not None:
        await tasks.remember_key(tx, subject.owner, request.idempotency_key, _body_hash(request), task.id, at)
    if task.max_cost_nanousd is not None:
        await attempts.set_task_budget(tx, task, task.max_cost_nanousd, at)
    payload = {"agent": agent.name, "agent_version": agent.version, "priority": task.priority.value}
    await record.note(tx, subject, "submitted", "submitted", 0, action="task_submitted", payload=payload)


def _task(principal: Principal, agent: Agent, request: TaskRequest) -> Task:
    at = record.now()
    return Task(
        id=str(uuid4()),
        owner_id=principal.user_id,
        organisation_id=principal.organisation_id,
        agent_id=agent.id,
        agent_name=agent.name,
        agent_version=agent.version,
        status=TaskStatus.PENDING,
        prompt=request.prompt,
        task_type=request.task_type,
        priority=request.priority,
        parameters=request.parameters,
        response_schema=request.response_schema or agent.config.response_schema,
        max_cost_nanousd=_limit(request.max_cost_usd, agent.config.budget_usd_per_task),
        created_at=at,
        updated_at=at,
    )


def _limit(*limits_usd: float | None) -> NanoUsd | None:
    given = [nano_usd(limit) for limit in limits_usd if limit is not None]
    return min(given, default=None)


def _check(request: TaskRequest) -> None:
    length = len(request.prompt)
    if not request.prompt.strip():
        raise InputError("The prompt is empty; there is nothing to do; say what the agent should do.")
    if length > MAX_PROMPT_CHARACTERS:
        raise InputError(
            f"The prompt has {length:,} characters; at most {MAX_PROMPT_CHARACTERS:,} are taken; shorten it, or split "
            "the task."
        )
    check_text("prompt", request.prompt)
    check_text("idempotency key", request.idempotency_key)
    check_budget("max_cost_usd", request.max_cost_usd)
    if request.idempotency_key is not None and not 0 < len(request.idempotency_key) <= _MAX_KEY_CHARACTERS:
        raise InputError(f"The idempotency key is out of bounds; it has 1 to {_MAX_KEY_CHARACTERS} characters.")
    _check_parameters(request.parameters)
    check_schema(request.response_schema)


def _check_parameters(parameters: dict[str, Any]) -> None:
    try:
        length = len(canonical(parameters).encode())
    except (TypeError, ValueError, RecursionError):
        raise InputError("The parameters are not JSON; they are sent to the model as JSON; send an object.") from None
    if length > _MAX_PARAMETERS_BYTES:
        raise InputError(
            f"The parameters are {length:,} bytes of JSON; at most {_MAX_PARAMETERS_BYTES:,} are taken; send less."
        )


def _body_hash(request: TaskRequest) -> str:
    body = {name: value for name, value in asdict(request).items() if name != "idempotency_key"}
    return hashlib.sha256(canonical(body).encode()).hexdigest()
