// The steps of a run, each with what it gave and the tasks that it took.

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Status } from "../components/badge";
import { Section } from "../components/head";
import { Text } from "../components/text";
import { duration, exact, textOf, words } from "../format";
import { hashOf, Link } from "../route";
import type { Step } from "../shapes";

const TASKS_SHOWN = 20;

export function Steps({ of, open }: { of: readonly Step[]; open: string | null }): JSX.Element {
  return (
    <Section title="Steps">
      <div class="steps card">
        {of.map((step) => (
          <One key={step.id} step={step} open={open === step.id} />
        ))}
      </div>
    </Section>
  );
}

function One({ step, open }: { step: Step; open: boolean }): JSX.Element {
  const details = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    if (open && details.current) details.current.open = true;
  }, [open]);
  const took = step.started_at && step.ended_at ? Date.parse(step.ended_at) - Date.parse(step.started_at) : null;
  return (
    <details ref={details} id={`step-${step.id}`}>
      <summary>
        <span class="step-name">{step.id}</span>
        <span class="faint step-kind">{step.kind}</span>
        <span class="step-took faint">{took !== null && duration(took)}</span>
        <Status of={step.status} />
      </summary>
      <div class="step-body">
        {step.error && <p class="fault">{step.error.message}</p>}
        <dl class="pairs">
          <Pair name="After">{step.needs?.length ? step.needs.join(", ") : null}</Pair>
          <Pair name="When">{step.when == null ? null : <span class="mono">{textOf(step.when)}</span>}</Pair>
          <Pair name="Began">{step.started_at && exact(step.started_at)}</Pair>
          <Pair name="Due">{step.due_at && exact(step.due_at)}</Pair>
          <Pair name="Tasks">{step.tasks && countsOf(step.tasks)}</Pair>
          <Pair name="Items">{step.items && Object.entries(step.items).map(([item, state]) => `${item} ${words(state).toLowerCase()}`).join(", ")}</Pair>
        </dl>
        <TaskLinks step={step} />
        {step.output != null && <Text of={step.output} label={`Output of ${step.id}`} />}
      </div>
    </details>
  );
}

function Pair({ name, children }: { name: string; children: JSX.Element | string | null | undefined }): JSX.Element | null {
  if (!children) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function countsOf(tasks: Record<string, number>): string {
  return Object.entries(tasks).map(([name, number]) => `${number} ${words(name).toLowerCase()}`).join(", ");
}

function TaskLinks({ step }: { step: Step }): JSX.Element | null {
  const ids = step.task_ids?.length ? step.task_ids : step.task ? [step.task] : [];
  if (!ids.length) return null;
  return (
    <p class="task-links">
      {ids.slice(0, TASKS_SHOWN).map((id, index) => (
        <Link key={id} to={hashOf("tasks", id)}>
          {ids.length === 1 ? "Open its task" : `Task ${index + 1}`}
        </Link>
      ))}
      {ids.length > TASKS_SHOWN && <span class="faint">and {ids.length - TASKS_SHOWN} more</span>}
    </p>
  );
}
