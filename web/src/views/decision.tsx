// Why a task went to the model it went to.

import type { JSX } from "preact";
import { Badge } from "../components/badge";
import { Section } from "../components/head";
import { type Column, Table } from "../components/table";
import { TableFrame } from "../components/table_frame";
import { count, duration, money, percent, plural, words } from "../format";
import type { Candidate, RouteDecision } from "../shapes";

interface Ranked extends Candidate {
  place: number;
}

const COLUMNS: readonly Column<Ranked>[] = [
  { head: "Model", cell: ({ provider, model, place }) => <Named name={`${provider}/${model}`} first={place === 1} /> },
  { head: "Good enough", kind: "number", cell: ({ p_ok }) => percent(p_ok, 1) },
  { head: "Available", kind: "number", cell: ({ p_up }) => percent(p_up, 1) },
  { head: "Expected cost", kind: "number", cell: ({ expected_cost_usd }) => money(expected_cost_usd) },
  { head: "Expected time", kind: "number", cell: ({ expected_latency_ms }) => duration(expected_latency_ms) },
  { head: "Evidence", kind: "number", from: "medium", cell: ({ evidence }) => count(Math.round(evidence * 10) / 10) },
  { head: "Utility", kind: "number", from: "medium", cell: ({ utility }) => utility.toFixed(6) },
];

export function RouteTaken({ decision }: { decision: RouteDecision }): JSX.Element {
  const ranked = decision.candidates.map((candidate, index) => ({ ...candidate, place: index + 1 }));
  return (
    <Section title="Decision" note={`${words(decision.task_type)}, ${percent(decision.confidence)} sure · policy ${decision.policy}`}>
      <ul class="reasons">
        {decision.reasons.map((reason) => (
          <li key={reason}>{reason}.</li>
        ))}
        {decision.explored && <li>It was tried to learn more about this model.</li>}
      </ul>
      <TableFrame name="Candidates">
        <Table caption="Models that could have taken it, in the order in which they are asked" columns={COLUMNS} rows={ranked} rowKey={({ provider, model }) => `${provider}/${model}`} />
      </TableFrame>
      {decision.excluded.length > 0 && (
        <details class="excluded">
          <summary>{plural(decision.excluded.length, "model")} left out</summary>
          <dl>
            {decision.excluded.map(({ provider, model, reason }) => (
              <div key={`${provider}/${model}`}>
                <dt class="mono">
                  {provider}/{model}
                </dt>
                <dd>{reason}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}
    </Section>
  );
}

function Named({ name, first }: { name: string; first: boolean }): JSX.Element {
  return (
    <span class="named">
      {name}
      {first && (
        <Badge tone="info" icon="check">
          First choice
        </Badge>
      )}
    </span>
  );
}
