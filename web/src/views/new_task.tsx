// A new task: what to do, by whom, for how much at most.

import type { JSX, TargetedSubmitEvent } from "preact";
import { useRef } from "preact/hooks";
import { newKey, SUBMIT } from "../actions";
import { AgentField } from "../components/agent_field";
import { Dialog, FormEnd } from "../components/dialog";
import { useAction } from "../desk";
import { words } from "../format";
import { go, hashOf } from "../route";
import { PRIORITIES, TASK_TYPES } from "../shapes";

const LONGEST_PROMPT = 100_000;

export function NewTask({ close }: { close: () => void }): JSX.Element {
  const submit = useAction(SUBMIT, ["tasks"], "Task submitted.");
  // Sent twice as it stands it is one task; changed, it is another.
  const key = useRef(newKey());
  const send = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "").trim();
    const task = await submit.run({
      prompt: text("prompt"),
      agent: text("agent"),
      priority: text("priority"),
      task_type: text("task_type") || null,
      max_cost_usd: text("budget") ? Number(text("budget")) : null,
      key: key.current,
    });
    if (task === undefined) return;
    close();
    go(hashOf("tasks", task.id));
  };
  return (
    <Dialog title="New task" close={close} kept>
      <form class="form" onInput={() => (key.current = newKey())} onSubmit={send}>
        <label>
          Prompt
          <textarea name="prompt" rows={7} required maxLength={LONGEST_PROMPT} autofocus placeholder="What is to be done?" />
        </label>
        <div class="form-row">
          <AgentField name="agent" active initial="default" />
          <label>
            Priority
            <select name="priority">
              {PRIORITIES.map((name) => (
                <option key={name} value={name} selected={name === "medium"}>
                  {words(name)}
                </option>
              ))}
            </select>
          </label>
        </div>
        <div class="form-row">
          <label>
            Type
            <select name="task_type">
              <option value="">Inferred</option>
              {TASK_TYPES.map((name) => (
                <option key={name} value={name}>
                  {words(name)}
                </option>
              ))}
            </select>
          </label>
          <label>
            Budget in USD
            <input name="budget" type="number" min="0.000001" max="1000000" step="any" inputMode="decimal" placeholder="None" />
          </label>
        </div>
        <FormEnd
          problem={submit.error?.message}
          submit={submit.busy ? "Submitting…" : "Submit task"}
          disabled={submit.busy}
          close={close}
        />
      </form>
    </Dialog>
  );
}
