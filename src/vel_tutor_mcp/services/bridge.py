"""The loop that carries runs to Task Master projects and back: it claims items there, and writes what came of them.

What is to be done stands in the database, as states of errands, and is looked for at the start and once a second: a
crash anywhere loses nothing. Each side effect is one that may be repeated, and is noted once it is found in the file.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import ConfigurationError, Conflict, InputError, NotFound, Unavailable, VelError
from vel_tutor_mcp.models import TaskError
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.services.bridged import Bridged, BridgeStore
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.taskmaster import briefs, keeping
from vel_tutor_mcp.taskmaster import project as folders
from vel_tutor_mcp.taskmaster.children import Children
from vel_tutor_mcp.taskmaster.errands import Errand, State, check, due, vel_of
from vel_tutor_mcp.taskmaster.graph import Graph
from vel_tutor_mcp.taskmaster.items import Item, Status, Tag
from vel_tutor_mcp.taskmaster.known import Known
from vel_tutor_mcp.taskmaster.project import Missing, Project
from vel_tutor_mcp.taskmaster.reading import Corrupt
from vel_tutor_mcp.taskmaster.writing import KEY, NotArrived, Written, claim_of

_EVERY_SECONDS = 1.0
_BUSY_SECONDS = 0.25
# A write is tried for minutes, for a person may be mending the file or moving the folder; a claim is given up sooner.
_MOST_CLAIMS, _MOST_WRITES = 5, 10
_LONGEST_PAUSE = 30.0
_CANCELLED = TaskError(code="cancelled", message="The run ended before it was done.")

_log = logging.getLogger(__name__)


class _Tries(NamedTuple):
    """How often something failed, and from when on it is tried again."""

    times: int
    at: float


_NEVER = _Tries(0, 0.0)


class Bridge:
    """`shared`: the database may be another machine's too; then a project must be known to this home."""

    def __init__(
        self,
        store: BridgeStore,
        conductor: Conductor,
        children: Children,
        known: Known,
        *,
        shared: bool,
        learned: bool,
    ) -> None:
        self._store = store
        self._conductor = conductor
        self._children = children
        self._known = known
        self._shared = shared
        self._learned = learned
        self._home = ""
        self._busy: set[str] = set()
        self._tries: dict[tuple[str, str, str], _Tries] = {}
        self._looked: dict[tuple[str, str, str], object] = {}

    async def loop(self) -> None:
        """Run until cancelled; a fault is logged, and what met it is tried again."""
        async with asyncio.TaskGroup() as group:
            while True:
                pause = _EVERY_SECONDS
                for project, steps in (await self._waiting()).items():
                    pause = _BUSY_SECONDS
                    if project not in self._busy:
                        self._busy.add(project)
                        group.create_task(self._serve(project, self._home, steps))
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._conductor.bridged.wait()
                self._conductor.bridged.clear()

    async def _waiting(self) -> dict[str, list[Bridged]]:
        """The steps that wait for something, by their projects; none while the home or the database cannot be asked."""
        try:
            self._home = self._home or await in_thread(self._known.home)
            return _by_project(await self._store.places(("", self._home)))
        except (VelError, OSError) as problem:
            _log.debug("The bridge cannot look for work now; %s", problem)
        except Exception:  # noqa: BLE001 - whatever it is, the bridge must look again
            _log.exception("The bridge met a fault and goes on.")
        return {}

    async def _serve(self, path: str, home: str, steps: Sequence[Bridged]) -> None:
        """All that there is to do for one project now."""
        try:
            project = await self._project(path, home, steps)
            if project is None:
                return
            with self._known.held(project) as ours:
                for bridged in steps if ours else ():
                    await self._own(project, home, bridged)
        except VelError as problem:
            _log.warning("Work on a Task Master project waits; %s", problem)
        except Exception:  # noqa: BLE001 - a fault with one project must not end the work on others
            _log.exception("The bridge to Task Master met a fault and goes on.")
        finally:
            self._busy.discard(path)

    async def _project(self, path: str, home: str, steps: Sequence[Bridged]) -> Project | None:
        """The project, where this process may have to do with it."""
        try:
            project = await in_thread(lambda: folders.at(path))
        except InputError as problem:
            for bridged in steps:
                # On a shared database the path may be another machine's, where there is such a project.
                if bridged.step.home == home or not self._shared:
                    await self._away(bridged, problem)
            return None
        for bridged in steps:
            self._tries.pop(_place(bridged), None)
        known = not self._shared or self._known.has(project)
        return project if known or any(bridged.step.home == home for bridged in steps) else None

    async def _away(self, bridged: Bridged, problem: VelError) -> None:
        """Look again a little later where something was begun there, but not for ever."""
        place = _place(bridged)
        if bridged.open:
            if self._rests(place):
                return
            times = self._failed_again(place)
            _log.warning("The project of the run %s is away, try %s; %s", bridged.run.id, times, problem)
            if times < _MOST_WRITES:
                return
        self._tries.pop(place, None)
        await self._give_up(bridged, problem)

    async def _give_up(self, bridged: Bridged, problem: VelError) -> None:
        """There is no such project any more: nothing can be written there."""
        await self._store.halt(bridged, _error(problem))
        # Again, for what was stopped, or answered at this moment, is further than it was.
        while (bridged := await self._store.again(bridged)).open:
            for errand in bridged.open:
                await self._store.close(bridged, replace(errand, outcome=None, error=_error(problem)))
        await self._end(bridged, ())

    async def _own(self, project: Project, home: str, bridged: Bridged) -> None:
        if bridged.step.home == "":
            await self._store.own(bridged, home)
        while await self._go_on(project, bridged := await self._store.again(bridged)):
            pass

    async def _go_on(self, project: Project, bridged: Bridged) -> bool:
        """Do what is due for the step; whether anything has changed by it."""
        if bridged.step.home is None:
            return False
        moved = [await self._further(project, bridged, errand) for errand in bridged.open]
        if any(moved):
            return True
        if not bridged.halted:
            return await self._look(project, bridged)
        if not bridged.open:
            await self._end(bridged, ())
        return False

    async def _further(self, project: Project, bridged: Bridged, errand: Errand) -> bool:
        """Do what is due for an errand; whether it has changed by it."""
        if self._rests(_key(errand)):
            return False
        try:
            moved = await self._move(project, bridged, errand)
        except (NotArrived, Missing, Unavailable, ConfigurationError, Corrupt, OSError) as problem:
            return await self._failed(bridged, errand, problem)
        except InputError as problem:  # it is somebody else's now, or gone
            # What failed anyway keeps its own error.
            outcome = None if errand.state is State.CLAIMING or errand.succeeded else errand.outcome
            error = errand.error if outcome else _error(problem)
            await self._store.close(bridged, replace(errand, outcome=outcome, error=error))
            moved = True
        self._tries.pop(_key(errand), None)
        return moved

    async def _failed(self, bridged: Bridged, errand: Errand, problem: Exception) -> bool:
        """Try again a little later, but not for ever; whether the errand has changed."""
        times = self._failed_again(_key(errand))
        _log.warning("The item %s could not be written, try %s; %s", errand.item_id, times, problem)
        if errand.state is State.CLAIMING and not bridged.halted:
            if times >= _MOST_CLAIMS:
                await self._store.halt(bridged, _error(problem))
            return False
        if times < _MOST_WRITES:
            return False
        await self._store.close(bridged, replace(errand, outcome=None, error=_error(problem)))
        return True

    def _failed_again(self, key: tuple[str, str, str]) -> int:
        """How often it failed by now; it rests for a while, longer each time."""
        times = self._tries.get(key, _NEVER).times + 1
        self._tries[key] = _Tries(times, time.monotonic() + min(0.25 * 2**times, _LONGEST_PAUSE))
        return times

    def _rests(self, key: tuple[str, str, str]) -> bool:
        return time.monotonic() < self._tries.get(key, _NEVER).at

    async def _move(self, project: Project, bridged: Bridged, errand: Errand) -> bool:
        if errand.state is State.WRITING:
            await self._write(project, bridged, errand)
        elif bridged.step.status.ended or (bridged.halted and errand.state is State.CLAIMING):
            await self._release(project, bridged, errand)
        elif errand.state is State.CLAIMING:
            await self._claim(project, bridged, errand)
        else:
            return False
        return True

    async def _claim(self, project: Project, bridged: Bridged, errand: Errand) -> None:
        assert bridged.tag is not None
        writer = self._children.writer(project)
        written = await writer.claim(bridged.tag, errand.item_id, errand.run_id, errand.step_id)
        tag = folders.chosen(await in_thread(project.tags), bridged.tag, None)
        prompt = await in_thread(lambda: _prompt(project, tag, errand.item_id))
        agent = self._agent(bridged, tag.items[errand.item_id])
        await self._store.work(bridged, _with(project, errand, written), prompt, agent)

    def _agent(self, bridged: Bridged, item: Item) -> str:
        asked = bridged.definition
        if not asked.agents:
            return asked.agent
        text = f"{item.title}\n{item.description}\n{item.details}"
        return asked.agents.get(features(text, learned=self._learned).task_type, asked.agent)

    async def _write(self, project: Project, bridged: Bridged, errand: Errand) -> None:
        assert errand.outcome is not None
        work, result = await self._store.result(bridged, errand)
        if errand.succeeded and work is not None:
            output = work.output or ""
            result |= await in_thread(lambda: keeping.keep_output(project, work.id, output))
        await self._finish(project, bridged, errand, result)

    async def _release(self, project: Project, bridged: Bridged, errand: Errand) -> None:
        """Give an item back that was begun; one that is not ours any more is left as it is."""
        given_back = replace(errand, outcome=Status.PENDING, error=bridged.step.error or _CANCELLED)
        try:
            await self._finish(project, bridged, given_back, {})
        except (NotArrived, Missing):  # which say nothing of whose it is
            raise
        except (Conflict, NotFound):
            await self._store.close(bridged, given_back)

    async def _finish(
        self, project: Project, bridged: Bridged, errand: Errand, result: dict[str, str | int | None]
    ) -> None:
        assert errand.outcome is not None
        if bridged.tag is None:  # none was claimed
            raise NotFound
        writer, vel = self._children.writer(project), vel_of(errand, result)
        written = await writer.finish(bridged.tag, errand.item_id, errand.outcome, vel)
        await self._store.close(bridged, _with(project, errand, written))

    async def _look(self, project: Project, bridged: Bridged) -> bool:
        """Take on what is ready now, or end the step where nothing is left; whether anything was taken on."""
        place = _place(bridged)
        state = frozenset((errand.number, errand.state) for errand in bridged.errands.values())
        # While something is open, the file is read only when an errand has moved: this comes four times a second.
        if bridged.open and self._looked.get(place) == state:
            return False
        self._looked[place] = state
        try:
            tags, current = await in_thread(lambda: (project.tags(), project.current_tag()))
            graph = Graph(folders.chosen(tags, bridged.tag, current))
            if not bridged.errands:
                check(graph, bridged.asked)
            found = due(graph, bridged.asked, bridged.errands, _claimed(graph.tag, bridged))
            if found.take:
                self._children.check()
        except (InputError, ConfigurationError) as problem:
            if bridged.open and isinstance(problem, Missing | Corrupt):
                # What is open is written by and by, or given up: until then the file may be mended.
                del self._looked[place]
                return False
            await self._store.halt(bridged, _error(problem))
            return True
        if found.take:
            items = [graph.tag.items[item_id] for item_id in found.take]
            await self._store.take(bridged, graph.tag.name, items, found.total)
        elif not bridged.open:
            await self._end(bridged, found.left)
        return bool(found.take)

    async def _end(self, bridged: Bridged, left: Sequence[str]) -> None:
        self._looked.pop(_place(bridged), None)
        await self._store.finish(bridged, left)


def _by_project(steps: Sequence[Bridged]) -> dict[str, list[Bridged]]:
    found: dict[str, list[Bridged]] = {}
    for bridged in steps:
        found.setdefault(bridged.project, []).append(bridged)
    return found


def _place(bridged: Bridged) -> tuple[str, str, str]:
    """Stands for the whole step where `_key` does for an item of it."""
    return bridged.run.id, bridged.step.step_id, ""


def _key(errand: Errand) -> tuple[str, str, str]:
    return errand.run_id, errand.step_id, errand.item_id


def _claimed(tag: Tag, bridged: Bridged) -> list[str]:
    """What the step has claimed, as the file has it."""
    run_id, step_id = bridged.run.id, bridged.step.step_id
    return [one for one in tag.order if claim_of(tag.name, one, run_id, step_id).arrived(tag.items[one])]


def _error(problem: Exception) -> TaskError:
    if isinstance(problem, VelError):
        return TaskError(code=problem.code, message=str(problem))
    why = getattr(problem, "strerror", None) or type(problem).__name__
    return TaskError(code="not_written", message=f"The project's files cannot be written; {str(why).lower()}.")


def _with(project: Project, errand: Errand, written: Written) -> Errand:
    """The errand with what was lost beside it, if anything was."""
    if not written.lost:
        return errand
    backup = written.backup.relative_to(project.root).as_posix()
    return replace(errand, lost=(*errand.lost, *written.lost), backup=backup)


def _prompt(project: Project, tag: Tag, item_id: str) -> str:
    """What an agent is asked for the item, with what was kept of that which it builds on. Blocks."""
    item = tag.items[item_id]
    parent = tag.items.get(item.parent) if item.parent is not None else None
    before = [tag.items[need] for need in Graph(tag).needs[item_id] if need in tag.items]
    found = [result for other in before for result in _results(project, tag, other)]
    return briefs.to_do(item, parent, found)


def _results(project: Project, tag: Tag, item: Item) -> list[briefs.Result]:
    """What was kept of the item, or of its subtasks: with the last of them a task is done, and has no result itself."""
    text = _kept(project, item)
    if text or not item.subtasks:
        return [briefs.Result(item, text)]
    return [briefs.Result(tag.items[part], _kept(project, tag.items[part])) for part in item.subtasks]


def _kept(project: Project, item: Item) -> str:
    noted = item.metadata.get(KEY)
    noted = noted if isinstance(noted, dict) else {}
    if isinstance(noted.get("output"), str):
        return str(noted["output"])
    file = noted.get("output_file")
    return project.text_of(file, 4 * briefs.MAX_RESULT) if isinstance(file, str) else ""
