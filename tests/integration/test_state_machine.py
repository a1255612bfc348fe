"""Tasks under any order of events: the services on a real database, with an engine that only takes note of its work.

A run is begun, ended and begun again as the execution engine would after crashes; what must hold is looked up after
every step.
"""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from noted import first_rows, services_on
from stores import empty
from times import examples

from vel_tutor_mcp.errors import Conflict
from vel_tutor_mcp.models import ENDED, Priority, Task, TaskError, TaskRequest, TaskStatus, Work
from vel_tutor_mcp.news import TaskEvent
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import history, schema, tasks
from vel_tutor_mcp.store.audit_chain import GENESIS, entry_hash
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.tables import tasks as rows

AT_ONCE = 2

Result = TypeVar("Result")


class TasksInAnyOrder(RuleBasedStateMachine):
    """`ended` is what the machine itself has seen end: the state of each attempt set."""

    submitted = Bundle("submitted")
    place: Settings

    def __init__(self) -> None:
        super().__init__()
        self.ended: dict[Work, TaskStatus] = {}
        self.told: dict[str, list[TaskEvent]] = {}

    def wait(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run(coroutine)

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.Runner()
        self.database = database_of(self.place)
        services = services_on(self.database, self.place)
        self.engine, self.answers, self.tasks = services.engine, services.answers, services.tasks
        self.admission = services.admission
        self.wait(self.first_rows())

    async def first_rows(self) -> None:
        await empty(self.database)
        self.me = await first_rows(self.database)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.wait(self.database.close())
            self.loop.close()

    @rule(target=submitted, priority=st.sampled_from(Priority))
    def submit(self, priority: Priority) -> str:
        return self.wait(self.tasks.submit(self.me, TaskRequest(prompt="Say hello", priority=priority))).id

    @rule(task_id=submitted)
    def begin(self, task_id: str) -> None:
        """The engine runs the work: for the first time, or again after a crash, which may be one too many."""
        work = self.work_of(task_id)
        if work in self.engine.given:
            self.wait(self.answers._begin(work, {self.engine.executor}))
            self.note_if_ended(task_id)

    @rule(task_id=submitted, status=st.sampled_from(sorted(ENDED)), sets_ago=st.integers(0, 1))
    def end(self, task_id: str, status: TaskStatus, sets_ago: int) -> None:
        """A run ends, perhaps one whose task has ended or gone on to another attempt set meanwhile."""
        task = self.task(task_id)
        work = Work(task_id, task.attempt_set - sets_ago)
        if work in self.engine.given:
            self.wait(self.end_now(task, work, status))
            if work not in self.ended and work == self.work_of(task_id):
                self.ended[work] = status

    async def end_now(self, task: Task, work: Work, status: TaskStatus) -> None:
        error = TaskError(code="no_answer", message="No model answered.") if status is TaskStatus.FAILED else None
        subject = Subject(replace(task, attempt_set=work.attempt_set), self.me)
        async with self.database.write(INSTALLATION) as tx:
            first = await record.end(tx, subject, status, status.value, error=error)
            assert bool(first) is (work not in self.ended)
            admitted = await self.admission.admit(tx)
        await self.admission.start(admitted)

    @rule(task_id=submitted)
    def cancel(self, task_id: str) -> None:
        """At once where it has not begun; else the run is told, as by another process, and ends when begun again."""
        status = self.task(task_id).status
        if status is TaskStatus.IN_PROGRESS:
            self.wait(self.ask_to_cancel(task_id))
        elif status.ended:
            self.refused(self.tasks.cancel(self.me, task_id))
        else:
            self.wait(self.tasks.cancel(self.me, task_id))
        self.note_if_ended(task_id)

    async def ask_to_cancel(self, task_id: str) -> None:
        async with self.database.write(INSTALLATION) as tx:
            await tasks.change(tx, task_id, record.now(), cancel_requested=True)

    @rule(task_id=submitted)
    def retry(self, task_id: str) -> None:
        task = self.task(task_id)
        if task.status in {TaskStatus.FAILED, TaskStatus.CANCELLED}:
            again = self.wait(self.tasks.retry(self.me, task_id))
            assert again.attempt_set == task.attempt_set + 1
        else:
            self.refused(self.tasks.retry(self.me, task_id))

    def refused(self, call: Coroutine[Any, Any, Any]) -> None:
        try:
            self.wait(call)
        except Conflict:
            return
        raise AssertionError("this should have been refused")

    def task(self, task_id: str) -> Task:
        return self.wait(self.tasks.get(self.me, task_id))

    def work_of(self, task_id: str) -> Work:
        return Work(task_id, self.task(task_id).attempt_set)

    def note_if_ended(self, task_id: str) -> None:
        task = self.task(task_id)
        if task.status.ended:
            self.ended.setdefault(Work(task_id, task.attempt_set), task.status)

    @invariant()
    def no_more_run_at_once_than_is_set_and_none_waits_for_nothing(self) -> None:
        counts = self.wait(self.counts())
        running = counts.get(TaskStatus.IN_PROGRESS, 0)
        assert running <= AT_ONCE
        assert running == AT_ONCE or not counts.get(TaskStatus.PENDING)

    async def counts(self) -> dict[str, int]:
        async with self.database.read(INSTALLATION) as tx:
            query = sa.select(rows.c.status, sa.func.count().label("many")).group_by(rows.c.status)
            return {row.status: row.many for row in await tx.execute(query)}

    @invariant()
    def each_attempt_set_has_one_final_state_on_record(self) -> None:
        finals = {f"task_{status}" for status in ENDED}
        said: dict[str, list[str]] = {}
        for entry in self.wait(self.chain()):
            if entry["action"] in finals:
                said.setdefault(entry["subject"], []).append(entry["action"])
        seen: dict[str, list[str]] = {}
        for work, status in sorted(self.ended.items(), key=lambda ended: ended[0].attempt_set):
            seen.setdefault(f"task:{work.task_id}", []).append(f"task_{status}")
        assert said == seen

    @invariant()
    def the_audit_chain_verifies(self) -> None:
        previous = GENESIS
        for number, entry in enumerate(self.wait(self.chain()), 1):
            told = entry.pop("hash")
            assert (entry["sequence"], entry["previous_hash"]) == (number, previous)
            assert told == entry_hash(entry | {"payload": json.loads(entry["payload"])})
            previous = told

    async def chain(self) -> list[dict[str, Any]]:
        async with self.database.read(INSTALLATION) as tx:
            found = (await tx.execute(sa.select(audit_logs).order_by(audit_logs.c.sequence))).mappings().all()
        return [{name: value for name, value in row.items() if value is not None} for row in found]

    @invariant()
    def history_only_grows(self) -> None:
        now = self.wait(self.histories())
        for task_id, before in self.told.items():
            assert now[task_id][: len(before)] == before
        self.told = now

    async def histories(self) -> dict[str, list[TaskEvent]]:
        async with self.database.read(INSTALLATION) as tx:
            ids = (await tx.execute(sa.select(rows.c.id))).scalars().all()
            return {task_id: await history.events(tx, task_id) for task_id in ids}


def test_tasks_in_any_order(database_url: str | None, tmp_path: Path) -> None:
    stored_in = Settings.model_validate({"home": tmp_path, "database_url": database_url, "tasks_in_progress": AT_ONCE})
    schema.prepare(database_of(stored_in), lambda: None)
    # A server syncs each of our many small commits to its disk.
    limits = settings(max_examples=examples(4 if database_url else 8), stateful_step_count=20, deadline=None)

    class Stored(TasksInAnyOrder):
        place = stored_in

    run_state_machine_as_test(Stored, settings=limits)
