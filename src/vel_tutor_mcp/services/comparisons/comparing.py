"""Comparisons: start one, look at one, list them, and what all of them come to. People rate answers as any task's."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.models import Agent, Page, Principal, Start, TaskRequest, TaskType
from vel_tutor_mcp.routing.catalog import ModelRow
from vel_tutor_mcp.services import intake, record
from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.booking import Tools
from vel_tutor_mcp.services.comparisons import fitting
from vel_tutor_mcp.services.comparisons.request import ComparisonRequest
from vel_tutor_mcp.services.comparisons.told import ToldComparison
from vel_tutor_mcp.services.inputs import body_hash
from vel_tutor_mcp.services.lookup import comparison_of
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.services.repeats import made_before
from vel_tutor_mcp.services.routes import Routes
from vel_tutor_mcp.store import audit, comparisons, ratings, tasks
from vel_tutor_mcp.store.comparisons import Comparison, Place, Showing
from vel_tutor_mcp.store.database import Transaction, unbroken

# The standings are made of the newest.
MOST_COMPARISONS = 1000

_chance = secrets.SystemRandom()


class Comparisons:
    """What the product does with comparisons, for every door."""

    def __init__(self, tools: Tools, admission: Admission, routes: Routes) -> None:
        self._database = tools.database
        self._catalog = tools.catalog
        self._prices = tools.prices
        self._admission = admission
        self._routes = routes

    @allows(Operation.TASK_SUBMIT)
    @unbroken
    async def start(self, principal: Principal, request: ComparisonRequest) -> Comparison:
        """Store a task for each model and begin them: all, or where one is refused none.

        The same key with the same request: the same comparison.

        Raises:
            InputError: a field is out of bounds, a model cannot be asked, or the key was used for another request.
            NotFound: no such agent. Conflict: the agent is not active.
        """
        asked = _asked(request)
        intake.check(asked)
        models = fitting.named(request.models, self._catalog)
        async with self._database.write(principal.organisation_id) as tx:
            if earlier := await made_before(tx, principal, "comparison", request, comparisons.by_key):
                return await comparison_of(tx, principal, earlier)
            agent = await intake.usable_agent(tx, principal, request.agent)
            route = self._routes.request_of(request.prompt, agent.config, task_type=request.task_type)
            limits = fitting.shares(models, route, request.max_cost_usd, self._prices)
            now = await self._routes.as_of_now(tx, principal, agent.id, route)
            fitting.refuse_unfit(models, limits, now, self._routes.decide)
            wanted = [fitting.only(asked, row, limit) for row, limit in zip(models, limits, strict=True)]
            submitted = [await self._submit(tx, principal, agent, request_of) for request_of in wanted]
            comparison = _comparison(principal, agent, request, route.features.task_type)
            places = _shuffled(models, submitted)
            await comparisons.insert(tx, comparison, places, request.idempotency_key, body_hash(request))
            await _note(tx, principal, comparison, models)
            admitted = await self._admission.admit(tx)
        await self._admission.begin(admitted)
        return comparison

    @allows(Operation.TASK_READ)
    @unbroken
    async def tell(self, principal: Principal, comparison_id: str) -> ToldComparison:
        """The comparison with its answers, and how the principal rated them.

        Raises:
            NotFound: there is none of this id that the principal may see.
        """
        async with self._database.read(principal.organisation_id) as tx:
            (told,) = await _told(tx, principal, [await comparison_of(tx, principal, comparison_id)])
            return replace(told, tasks=await tasks.of_ids(tx, [entry.place.task_id for entry in told.entries]))

    @allows(Operation.TASK_READ)
    @unbroken
    async def list(self, principal: Principal, *, limit: int = 20, cursor: Start = None) -> Page[ToldComparison]:
        """Comparisons that the principal may see, newest first, without the answers."""
        async with self._database.read(principal.organisation_id) as tx:
            page = await comparisons.page(tx, principal, limit, cursor)
            told = tuple(await _told(tx, principal, page.rows))
        return Page(told, page.cursors, more=page.more, total=page.total)

    @allows(Operation.TASK_READ)
    async def standings(self, principal: Principal, task_type: TaskType | None = None) -> dict[str, Any]:
        """What everybody's ratings come to, over the newest `MOST_COMPARISONS` that the principal may see."""
        from vel_tutor_mcp.services.comparisons.standings import shown_standings

        showings, is_cut = await self._showings(principal, task_type)
        return await in_thread(lambda: shown_standings(showings, is_cut=is_cut))

    @unbroken
    async def _showings(self, principal: Principal, task_type: TaskType | None) -> tuple[Sequence[Showing], bool]:
        async with self._database.read(principal.organisation_id) as tx:
            return await comparisons.showings(tx, principal, task_type, MOST_COMPARISONS)

    async def _submit(self, tx: Transaction, principal: Principal, agent: Agent, request: TaskRequest) -> str:
        subject = Subject(intake.new_task(principal, agent, request), principal)
        await intake.store(tx, subject, request, agent)
        self._admission.own(subject.task.id)
        return subject.task.id


def _asked(request: ComparisonRequest) -> TaskRequest:
    """The task, before it is given to a model."""
    return TaskRequest(
        prompt=request.prompt,
        agent=request.agent,
        task_type=request.task_type,
        max_cost_usd=request.max_cost_usd,
        idempotency_key=request.idempotency_key,
    )


def _comparison(principal: Principal, agent: Agent, request: ComparisonRequest, task_type: TaskType) -> Comparison:
    return Comparison(
        id=str(uuid4()),
        owner_id=principal.user_id,
        organisation_id=principal.organisation_id,
        prompt=request.prompt,
        prompt_hash=hashlib.sha256(request.prompt.encode()).hexdigest(),
        agent_name=agent.name,
        task_type=task_type,
        created_at=record.now(),
    )


def _shuffled(models: Sequence[ModelRow], task_ids: Sequence[str]) -> list[Place]:
    """Each model's task in a place that tells nothing of the model."""
    positions = _chance.sample(range(len(models)), len(models))
    return [
        Place(position=position, number=number, task_id=task_id, provider=row.provider, model=row.model)
        for number, (position, row, task_id) in enumerate(zip(positions, models, task_ids, strict=True))
    ]


async def _note(tx: Transaction, principal: Principal, comparison: Comparison, models: Sequence[ModelRow]) -> None:
    facts = {"agent": comparison.agent_name, "models": [row.name for row in models]}
    subject = f"comparison:{comparison.id}"
    await audit.append(tx, principal, "comparison_started", subject, facts, comparison.created_at)


async def _told(tx: Transaction, principal: Principal, rows: Sequence[Comparison]) -> list[ToldComparison]:
    entries = await comparisons.entries(tx, [row.id for row in rows])
    rated = await ratings.by_person(tx, [entry.place.task_id for of_one in entries.values() for entry in of_one])
    own = {task_id: by[principal.user_id] for task_id, by in rated.items() if principal.user_id in by}
    return [ToldComparison(comparison=row, entries=entries[row.id], ratings=own) for row in rows]
