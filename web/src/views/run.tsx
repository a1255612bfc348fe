// One run: its graph, its steps, and what it waits for.

import "./run.css";

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { CANCEL_RUN, RETRY_RUN } from "../actions";
import { Status } from "../components/badge";
import { Facts } from "../components/facts";
import { Head, Section } from "../components/head";
import { Icon } from "../components/icons";
import { Read } from "../components/states";
import { Text } from "../components/text";
import { Ago } from "../components/time";
import { useAction, useData, useDesk } from "../desk";
import { duration, money, NONE } from "../format";
import { type Approval, OPEN, type RunWhole } from "../shapes";
import type { ViewProps } from "../views";
import { Waits } from "./approvals";
import { Graph } from "./graph";
import { History, Progress } from "./history";
import { tookOf } from "./runs";
import { Steps } from "./steps";
import { Trail } from "./task";

const DONE = new Set(["completed", "skipped"]);

export function Run({ route }: ViewProps): JSX.Element {
  const run = useData<RunWhole & { approvals: Omit<Approval, "run" | "workflow">[] }>(`/api/runs/${encodeURIComponent(route.id ?? "")}`, {}, ["runs", "tasks"]);
  return (
    <>
      <Trail view="runs" title="Runs" id={route.id ?? ""} />
      {run.data === null && <Head title="Run" />}
      <Read from={run}>{(told) => <Whole run={told} approvals={told.approvals.map((row) => ({ ...row, run: told.id, workflow: told.workflow }))} />}</Read>
    </>
  );
}

function Whole({ run, approvals }: { run: RunWhole; approvals: Approval[] }): JSX.Element {
  const [open, setOpen] = useState<string | null>(null);
  useEffect(() => {
    if (open) document.getElementById(`step-${open}`)?.scrollIntoView({ block: "nearest" });
  }, [open]);
  const done = run.steps.filter((step) => DONE.has(step.status)).length;
  return (
    <>
      <Head title={run.workflow} note={<>Version {run.version}, started <Ago at={run.created_at} /></>}>
        <Doings run={run} />
      </Head>
      {OPEN.has(run.status) && <Progress history={run.history} />}
      {run.error && (
        <p class="fault" role="note">
          <Icon name="cross" />
          {run.error.message}
        </p>
      )}
      {approvals.map((approval) => (
        <Waits key={approval.step} approval={approval} />
      ))}
      <Facts
        of={[
          ["Status", <Status of={run.status} />],
          ["Steps done", `${done} of ${run.steps.length}`],
          ["Cost", run.max_cost_usd ? `${money(run.cost_usd)} of ${money(run.max_cost_usd)}` : money(run.cost_usd)],
          ["Took", run.ended_at ? duration(tookOf(run)) : NONE],
        ]}
      />
      <Section title="Graph">
        <Graph steps={run.steps} chosen={open} choose={setOpen} />
      </Section>
      <div class="columns">
        <div>
          <Steps of={run.steps} open={open} />
          {run.output != null && (
            <Section title="Output">
              <Text of={run.output} label="Output" />
            </Section>
          )}
          {Object.keys(run.inputs).length > 0 && (
            <Section title="Inputs">
              <Text of={run.inputs} label="Inputs" />
            </Section>
          )}
        </div>
        <aside aria-label="History">
          <History of={run.history} />
        </aside>
      </div>
    </>
  );
}

function Doings({ run }: { run: RunWhole }): JSX.Element | null {
  const { may } = useDesk();
  const cancel = useAction(CANCEL_RUN, ["runs", "tasks", "approvals"], "Run cancelled.");
  const retry = useAction(RETRY_RUN, ["runs", "tasks"], "The run goes on; what is completed is kept.");
  if (!may("run_change") || run.status === "completed") return null;
  if (OPEN.has(run.status)) {
    return (
      <button type="button" class="danger" disabled={cancel.busy} onClick={() => void cancel.run(run.id)}>
        <Icon name="stop" />
        Cancel run
      </button>
    );
  }
  return (
    <button type="button" disabled={retry.busy} onClick={() => void retry.run(run.id)}>
      <Icon name="retry" />
      Retry
    </button>
  );
}
