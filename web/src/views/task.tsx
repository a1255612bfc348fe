// One task: its answer, how it came about, what it cost, and what can be done with it.

import "./task.css";

import type { JSX } from "preact";
import { CANCEL_TASK, RETRY_TASK } from "../actions";
import { listOf } from "../arrival";
import { Status } from "../components/badge";
import { Facts } from "../components/facts";
import { Head, Section } from "../components/head";
import { Icon } from "../components/icons";
import { Read } from "../components/states";
import { Text } from "../components/text";
import { Ago } from "../components/time";
import { useAction, useData, useDesk } from "../desk";
import { count, duration, money, NONE, words } from "../format";
import { hashOf, Link } from "../route";
import { OPEN, type TaskWhole } from "../shapes";
import type { ViewProps } from "../views";
import { Attempts } from "./attempts";
import { RouteTaken } from "./decision";
import { History, Progress } from "./history";
import { Rate } from "./rate";

const TITLE_CHARACTERS = 140;

export function Task({ route }: ViewProps): JSX.Element {
  const id = route.id ?? "";
  const task = useData<TaskWhole>(`/api/tasks/${encodeURIComponent(id)}`, {}, ["tasks"]);
  return (
    <>
      <Trail view="tasks" title="Tasks" id={id} />
      {task.data === null && <Head title="Task" />}
      <Read from={task}>{(told) => <Whole task={told} />}</Read>
    </>
  );
}

/** Where one is, and the way back. */
export function Trail({ view, title, id }: { view: string; title: string; id: string }): JSX.Element {
  return (
    <nav class="trail" aria-label="Where you are">
      <Link to={listOf(view)}>{title}</Link>
      <Icon name="right" />
      <span class="mono">{id}</span>
    </nav>
  );
}

function Whole({ task }: { task: TaskWhole }): JSX.Element {
  const open = OPEN.has(task.status);
  return (
    <>
      <Head title={titleOf(task.prompt)} note={<Origin task={task} />}>
        <Doings task={task} />
      </Head>
      {open && <Progress history={task.history} />}
      <Facts
        of={[
          ["Status", <Status of={task.status} />],
          ["Model", task.model ? `${task.provider}/${task.model}` : NONE],
          ["Cost", money(task.cost_usd)],
          ["Tokens in, out", `${count(task.tokens_in)}, ${count(task.tokens_out)}`],
          ["Took", duration(task.timing.total_ms)],
          ["First token", duration(task.timing.first_token_ms)],
          ["Queued", duration(task.timing.queued_ms)],
          ["Type", words(task.task_type)],
        ]}
      />
      <div class="columns">
        <div>
          <Output task={task} />
          <Section title="Prompt">
            <Text of={task.prompt} label="Prompt" />
          </Section>
          {Object.keys(task.parameters).length > 0 && (
            <Section title="Parameters">
              <Text of={task.parameters} label="Parameters" />
            </Section>
          )}
          <Attempts of={task.attempts} since={task.history[0]?.at ?? task.created_at} />
        </div>
        <aside aria-label="History and rating">
          {task.status === "completed" && <Rate task={task.id} />}
          <History of={task.history} />
        </aside>
      </div>
      {task.decision && <RouteTaken decision={task.decision} />}
    </>
  );
}

function titleOf(prompt: string): string {
  const line = prompt.trim().split("\n", 1)[0] ?? "";
  return line.length > TITLE_CHARACTERS ? `${line.slice(0, TITLE_CHARACTERS - 1)}…` : line || "Task";
}

function Origin({ task }: { task: TaskWhole }): JSX.Element {
  return (
    <>
      {words(task.priority)} priority, by agent {task.agent}, <Ago at={task.created_at} />
      {task.run && (
        <>
          , step {task.step} of a <Link to={hashOf("runs", task.run)}>run</Link>
        </>
      )}
    </>
  );
}

function Doings({ task }: { task: TaskWhole }): JSX.Element | null {
  const { may } = useDesk();
  const cancel = useAction(CANCEL_TASK, ["tasks", "runs"], "Task cancelled.");
  const retry = useAction(RETRY_TASK, ["tasks", "runs"], "The task runs again.");
  if (!may("task_change")) return null;
  if (OPEN.has(task.status)) {
    return (
      <button type="button" class="danger" disabled={cancel.busy} onClick={() => void cancel.run(task.id)}>
        <Icon name="stop" />
        Cancel task
      </button>
    );
  }
  if (task.status === "completed") return null;
  return (
    <button type="button" disabled={retry.busy} onClick={() => void retry.run(task.id)}>
      <Icon name="retry" />
      Retry
    </button>
  );
}

function Output({ task }: { task: TaskWhole }): JSX.Element {
  return (
    <Section title="Output" note={task.partial ? "what had arrived when it ended" : undefined}>
      {task.error && (
        <p class="fault" role="note">
          <Icon name="cross" />
          {task.error.message}
        </p>
      )}
      {task.output != null && <Text of={task.output} label="Output" />}
      {task.output == null && !task.error && <p class="faint">{OPEN.has(task.status) ? "It is not there yet." : "There is none."}</p>}
    </Section>
  );
}
