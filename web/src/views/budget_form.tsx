// A new budget, or another limit for one that there is.

import type { JSX, TargetedSubmitEvent } from "preact";
import { useState } from "preact/hooks";
import type { Action } from "../backend";
import { AgentField } from "../components/agent_field";
import { Dialog, FormEnd } from "../components/dialog";
import { useAction, useDesk } from "../desk";

interface NewBudget {
  scope: string;
  subject: string | null;
  period: string;
  limit_usd: number;
  hard: boolean;
}

const SET: Action<NewBudget> = {
  name: "set a budget",
  rest: (body) => ({ method: "PUT", path: "/api/budgets", body }),
};

const ADMINISTRATORS = new Set(["admin", "org_admin"]);

export function BudgetForm({ close, done }: { close: () => void; done: () => void }): JSX.Element {
  const administers = ADMINISTRATORS.has(useDesk().me.role);
  const [scope, setScope] = useState(administers ? "organisation" : "user");
  const set = useAction(SET, ["usage"], "Budget set.");
  const send = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    if ((await set.run(budgetIn(new FormData(event.currentTarget)))) === undefined) return;
    done();
    close();
  };
  return (
    <Dialog title="Set a budget" close={close}>
      <form class="form" onSubmit={send}>
        <div class="form-row">
          <label>
            Of
            <select name="scope" value={scope} onChange={(event) => setScope(event.currentTarget.value)}>
              {administers && <option value="organisation">The organisation</option>}
              <option value="user">A user</option>
              <option value="agent">An agent</option>
            </select>
          </label>
          {scope !== "organisation" && <Subject scope={scope} />}
        </div>
        <div class="form-row">
          <label>
            Limit in USD
            <input name="limit" type="number" required min="0.000001" max="1000000" step="any" inputMode="decimal" />
          </label>
          <label>
            Per
            <select name="period">
              <option value="day">Day (UTC)</option>
              <option value="month" selected>
                Month (UTC)
              </option>
            </select>
          </label>
        </div>
        <label>
          Beyond the limit
          <select name="hard">
            <option value="true">Refuse: it is never passed</option>
            <option value="false">Warn and go on</option>
          </select>
        </label>
        <p class="hint">A budget that there is already for the same subject and period gets this limit in its place.</p>
        <FormEnd
          problem={set.error?.message}
          submit={set.busy ? "Setting…" : "Set budget"}
          disabled={set.busy}
          close={close}
        />
      </form>
    </Dialog>
  );
}

function Subject({ scope }: { scope: string }): JSX.Element {
  if (scope === "agent") return <AgentField name="subject" />;
  return (
    <label>
      User
      <input name="subject" maxLength={200} placeholder="You, or an e-mail address" />
    </label>
  );
}

function budgetIn(form: FormData): NewBudget {
  const subject = String(form.get("subject") ?? "").trim();
  return {
    scope: String(form.get("scope")),
    subject: subject || null,
    period: String(form.get("period")),
    limit_usd: Number(form.get("limit")),
    hard: form.get("hard") === "true",
  };
}
