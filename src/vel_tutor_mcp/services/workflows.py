"""Workflows: saved with every version kept, checked before they are, and offered as templates."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any
from uuid import uuid4

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.errors import InputError, NotFound, NotYours
from vel_tutor_mcp.leaves import folder
from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.inputs import check_text, json_bytes
from vel_tutor_mcp.services.lookup import agent_of, run_of, workflow_of
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.run_reports import ToldWorkflow
from vel_tutor_mcp.store import audit, workflows
from vel_tutor_mcp.store.audit_chain import canonical
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.workflows.definition import ApprovalStep, PlanStep
from vel_tutor_mcp.workflows.graph import Graph, fault, read
from vel_tutor_mcp.workflows.model import Workflow

_MAX_NAME_CHARACTERS = 100
_MAX_DEFINITION_BYTES = 500_000
# A definition of this one field is that of a run.
_OF_RUN = "run"


class Workflows:
    """What the product does with workflows, for every door; `cue` is told whose have changed."""

    def __init__(self, database: Database, cue: Callable[[str], None]) -> None:
        self._database = database
        self._cue = cue

    @allows(Operation.WORKFLOW_WRITE)
    @unbroken
    async def save(self, principal: Principal, name: str, definition: dict[str, Any]) -> ToldWorkflow:
        """Save a new version of the principal's workflow of this name; the same definition again makes none.

        `{"run": id}` stands for the definition that a run had; other fields beside it replace that definition's own.

        Raises:
            InputError: the definition is not valid, with the place of the fault. NotFound: there is no such run, or no
                such agent as it names.
        """
        _check_name(name)
        async with self._database.write(principal.organisation_id) as tx:
            definition = await self._of_run(tx, principal, definition)
            graph = checked(definition)
            await _check_agents(tx, principal, graph)
            workflow = await save(tx, principal, name, definition, graph)
            versions = await workflows.versions(tx, workflow.id)
        self._cue(principal.user_id)
        return ToldWorkflow(workflow=workflow, definition=definition, graph=graph, versions=versions)

    @allows(Operation.WORKFLOW_READ)
    @unbroken
    async def get(self, principal: Principal, id_or_name: str) -> ToldWorkflow:
        """The workflow.

        Raises:
            NotFound: there is none of this id or name that the principal may see.
        """
        async with self._database.read(principal.organisation_id) as tx:
            workflow = await workflow_of(tx, principal, id_or_name)
            definition = await workflows.definition(tx, workflow.id, workflow.version)
            versions = await workflows.versions(tx, workflow.id)
        return ToldWorkflow(workflow=workflow, definition=definition, graph=read(definition), versions=versions)

    @allows(Operation.WORKFLOW_READ)
    @unbroken
    async def list(self, principal: Principal, *, limit: int = 20, cursor: Start = None) -> Page[Workflow]:
        """Workflows that the principal may see, newest first."""
        async with self._database.read(principal.organisation_id) as tx:
            return await workflows.page(tx, principal, limit, cursor)

    @allows(Operation.WORKFLOW_READ)
    @unbroken
    async def templates(self, principal: Principal) -> dict[str, Graph]:
        """The principal's templates, by name."""
        async with self._database.read(principal.organisation_id) as tx:
            found = await workflows.templates(tx, principal)
        return {workflow.name: read(definition) for workflow, definition in found}

    async def _of_run(self, tx: Transaction, principal: Principal, definition: dict[str, Any]) -> dict[str, Any]:
        if _OF_RUN not in definition:
            return definition
        run = await run_of(tx, principal, str(definition[_OF_RUN]))
        used = await workflows.definition(tx, run.workflow_id, run.workflow_version)
        return used | {name: value for name, value in definition.items() if name != _OF_RUN}


async def ensure_templates(tx: Transaction, principal: Principal) -> None:
    """The shipped templates, made at the first start where the principal has no workflow of their names."""
    for name, definition in _shipped().items():
        if await workflows.own(tx, principal, name) is None:
            await save(tx, principal, name, definition, read(definition))


async def save(tx: Transaction, principal: Principal, name: str, definition: dict[str, Any], graph: Graph) -> Workflow:
    """Store a checked definition as the newest version of the principal's workflow of this name."""
    at, template = record.now(), graph.definition.template
    earlier = await workflows.own(tx, principal, name)
    if earlier is None:
        workflow = Workflow(
            id=str(uuid4()),
            owner_id=principal.user_id,
            organisation_id=principal.organisation_id,
            name=name,
            version=1,
            template=template,
            created_at=at,
            updated_at=at,
        )
        await workflows.insert(tx, workflow)
    elif canonical(await workflows.definition(tx, earlier.id, earlier.version)) == canonical(definition):
        return earlier
    else:
        workflow = replace(earlier, version=earlier.version + 1, template=template, updated_at=at)
        await workflows.update(tx, workflow)
    await workflows.add_version(tx, workflow, definition)
    facts = {"name": name, "version": workflow.version}
    await audit.append(tx, principal, "workflow_saved", f"workflow:{workflow.id}", facts, at)
    return workflow


def _check_name(name: str) -> None:
    check_text("name", name)
    if not name.strip() or len(name) > _MAX_NAME_CHARACTERS or not name.isprintable():
        raise InputError(
            f"The name is out of bounds; it has 1 to {_MAX_NAME_CHARACTERS} characters on one line; choose another."
        )


def checked(definition: dict[str, Any]) -> Graph:
    """The definition as one that can be saved, but for the agents that it names.

    Raises:
        InputError: it is not valid, with the place of the fault.
    """
    size = json_bytes(definition)
    if size is None:
        raise fault("its top", "it is no JSON that can be kept; send an object of texts, numbers and lists")
    if size > _MAX_DEFINITION_BYTES:
        raise fault("its top", f"it is too large, {size:,} bytes; at most {_MAX_DEFINITION_BYTES:,} are taken")
    graph = read(definition)
    for name, step in graph.steps.items():
        if isinstance(step, PlanStep):
            raise fault(f"steps.{name}.kind", "a plan is begun by taskmaster_plan alone; take the step out")
    return graph


async def _check_agents(tx: Transaction, principal: Principal, graph: Graph) -> None:
    for name, step in graph.steps.items():
        for agent in () if isinstance(step, ApprovalStep | PlanStep) else step.all_agents:
            await _check_agent(tx, principal, name, agent)


async def _check_agent(tx: Transaction, principal: Principal, step_id: str, agent: str) -> None:
    try:
        await agent_of(tx, principal, agent)
    except NotFound as problem:
        why = "there is no such agent; name one of agent_list, or make it with agent_create"
        told = str(fault(f"steps.{step_id}.agent", why))
        raise (NotYours(told, problem.subject) if isinstance(problem, NotYours) else NotFound(told)) from None


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    import json

    pages = sorted((folder("resources") / "templates").glob("*.json"))
    return {page.stem: json.loads(page.read_text(encoding="utf-8")) for page in pages}
