"""`route`: the routing engine from the shell. `explain` says what would be asked; `train` and `evaluate` learn."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.output import AsJson, Column
from vel_tutor_mcp.doors.cli.product import with_app
from vel_tutor_mcp.models import Policy, TaskType

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.models import Decision
    from vel_tutor_mcp.routing.measures import Interval
    from vel_tutor_mcp.routing.trial import Trial

commands = typer.Typer(no_args_is_help=True, help="Explain routes, and learn from scored prompts of your own.")

Data = Annotated[Path, typer.Option(help="Scored prompts, one JSON object a line: .jsonl, also with gzip.")]

_CANDIDATES = (
    *(Column("model", share=1), Column("good enough"), Column("up"), Column("cost"), Column("wait")),
    Column("utility"),
)
_MEASURES = (Column("measure", share=2), Column("value"), Column("95 % interval", share=1))


@commands.command()
def explain(
    prompt: Annotated[str, typer.Argument(help="What would be asked.")],
    agent: Annotated[str, typer.Option(help="Whose: its name or id.")] = "default",
    task_type: Annotated[TaskType | None, typer.Option("--type", help="Inferred if left out.")] = None,
    policy: Annotated[Policy | None, typer.Option(help="Instead of the agent's own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Which model would answer, which would take over, why, and at what cost and wait. Free; calls nobody."""
    from vel_tutor_mcp.services.reports import shown_decision

    async def decision_of(app: "App") -> "Decision":
        return await app.routes.explain(app.local_principal, prompt, agent, task_type, policy)

    decision = with_app(decision_of, only_look=True)
    if as_json:
        output.document(shown_decision(decision))
        return
    output.rows(_CANDIDATES, _candidates(decision))
    output.say(f"{decision.task_type.value}, {decision.confidence:.0%} sure; policy {decision.policy.value}")
    for reason in decision.reasons:
        output.say(f"- {reason}")
    if not decision.candidates:
        output.say("No model can take this:")
        for out in decision.excluded:
            output.say(f"- {out.provider}/{out.model}: {out.reason}")


@commands.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Where the weights go; an older file of weights is replaced.")],
    as_json: AsJson = False,
) -> None:
    """Learn P(good enough) of the models in your data; serve it with VEL_TUTOR_ROUTING_WEIGHTS."""
    from vel_tutor_mcp.services import training

    trained = training.train(data, out)
    if as_json:
        output.document(asdict(trained))
        return
    output.result(str(out))
    rule = "is never left" if trained.margin is None else f"is left for another one beyond {trained.margin:.2f}"
    output.say(f"Learned {len(trained.models)} models from {trained.rows} rows ({trained.bytes // 1000} kB).")
    output.say(f"The best single one is {trained.best}; where only quality counts, it {rule}.")
    output.say(f"Use it: VEL_TUTOR_ROUTING_WEIGHTS={out}; see how good it is: vel-tutor-mcp route evaluate")


@commands.command()
def evaluate(data: Data, as_json: AsJson = False) -> None:
    """Cross-validate what can be learned from your data, beside the best single model, chance, length and keywords."""
    from vel_tutor_mcp.services import training

    trial = training.evaluate(data)
    if as_json:
        output.document(training.shown_trial(trial))
        return
    output.rows(_MEASURES, _measures(trial))
    if trial.weak is not None:
        output.say(f"APGR and CPT are of sending to {trial.strong} what is too hard for {trial.weak}.")
    output.say(f"{trial.rows} rows, five folds; nothing is measured on a row that was learned from.")


def _candidates(decision: "Decision") -> list[tuple[str, ...]]:
    return [
        (
            one.name,
            f"{one.p_ok:.0%}",
            f"{one.p_up:.1%}",
            f"${one.expected_cost_nanousd / 10**9:.6f}",
            f"{one.expected_latency_ms / 1000:.1f} s",
            f"{one.utility:.6f}",
        )
        for one in decision.candidates
    ]


def _measures(trial: "Trial") -> list[tuple[str, str, str]]:
    lines = [_line(f"score of {name}", found) for name, found in trial.models.items()]
    lines += [_line("score of the router", trial.router), _line(f"its gain over {trial.best}", trial.gain)]
    lines.append((f"prompts for which {trial.best} is left", f"{trial.left:.1%}", ""))
    lines += [(f"calibration error of {name}", f"{error:.3f}", "") for name, error in trial.calibration.items()]
    for row in trial.ranked:
        lines.append(_line(f"APGR, {row.name}", row.apgr))
        lines += [_line(f"CPT50, {row.name}", row.cpt50, 1), _line(f"CPT80, {row.name}", row.cpt80, 1)]
    return lines


def _line(name: str, found: "Interval", digits: int = 3) -> tuple[str, str, str]:
    return name, f"{found.value:.{digits}f}", f"{found.low:.{digits}f} to {found.high:.{digits}f}"
