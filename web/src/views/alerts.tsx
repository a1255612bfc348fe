// What goes wrong that a person should hear of: what it is, what it means, what to do, who has seen it.

import "./alerts.css";

import type { JSX } from "preact";
import { inBrowser } from "../app";
import type { Action } from "../backend";
import { Badge, type Tone } from "../components/badge";
import { useFilter } from "../components/filters";
import { Head, Section } from "../components/head";
import type { IconName } from "../components/icons";
import { Pager } from "../components/pager";
import { Block, Read } from "../components/states";
import { Ago } from "../components/time";
import { useAction, useData, useDesk } from "../desk";
import { duration, plural } from "../format";
import { hashOf, Link, type Route } from "../route";
import type { Listed } from "../shapes";
import type { ViewProps } from "../views";
import { type Alert, inOrder, titleOf } from "./alert";

interface Kind {
  /** None where the subject names itself. */
  title?: string;
  /** What it means for tasks: its own message says what is wrong and what to do. */
  meaning: string;
  look: readonly (readonly [to: string, text: string])[];
}

const FAILED = hashOf("tasks", null, { status: "failed" });
const KINDS: Record<string, Kind> = {
  budget: {
    meaning: "What would go beyond a hard budget is refused until it renews; a soft one only warns.",
    look: [[hashOf("costs"), "See budgets"]],
  },
  error_rate: {
    title: "Error rate",
    meaning: "Tasks go on with other models where their agents allow it; a wrong key or a used-up account is yours to mend.",
    look: [[hashOf("performance"), "See providers"], [FAILED, "See failed tasks"]],
  },
  latency: {
    title: "Latency",
    meaning: "Answers come, but late; what this model usually takes is known from its last seven days.",
    look: [[hashOf("performance"), "See latency"]],
  },
  cost: {
    title: "Cost",
    meaning: "Answers come, but dearer; what they usually cost is known from the last seven days.",
    look: [[hashOf("costs", null, { group_by: "model" }), "See costs"]],
  },
  provider_down: {
    title: "Provider down",
    meaning: "Tasks go to other providers where their agents allow it; those of other agents wait or fail.",
    look: [[hashOf("performance"), "See providers"], [FAILED, "See failed tasks"]],
  },
};
const SEVERITIES: Record<Alert["severity"], [Tone, IconName, string]> = {
  critical: ["bad", "hand", "Critical"],
  warning: ["warn", "hand", "Warning"],
};
const MOST_OPEN = 100;
const AREAS = ["alerts"] as const;

const ACKNOWLEDGE: Action<string> = {
  name: "acknowledge an alert",
  rest: (id) => ({ method: "POST", path: `/api/alerts/${encodeURIComponent(id)}/acknowledge` }),
};

export function Alerts({ route }: ViewProps): JSX.Element {
  const { may, backend } = useDesk();
  const open = useData<Listed<Alert>>("/api/alerts", { state: "open", limit: MOST_OPEN }, AREAS);
  return (
    <>
      <Head title="Alerts" note="Budgets, error rates, latency and cost beyond the usual, providers that are down." />
      <Read from={open}>
        {({ data, meta }) => (
          <>
            <Section title="Open" note={meta.total ? plural(meta.total, "alert") : undefined}>
              {data.length ? <List alerts={inOrder(data)} /> : <Calm />}
              {data.length > 0 && may("alert_write") && backend.home === "app" && <p class="elsewhere">{inBrowser("acknowledge an alert")}</p>}
            </Section>
            <History route={route} />
          </>
        )}
      </Read>
    </>
  );
}

function Calm(): JSX.Element {
  return (
    <Block icon="check" title="Nothing is wrong">
      <p>Alerts open by themselves, and close once all has been calm for a while.</p>
    </Block>
  );
}

function History({ route }: { route: Route }): JSX.Element {
  const filter = useFilter(route);
  const closed = useData<Listed<Alert>>("/api/alerts", { state: "closed", limit: 20, offset: route.query.offset }, AREAS);
  return (
    <Section title="History" note="newest first">
      <Read from={closed}>
        {({ data, meta }) => (
          <>
            {data.length ? <List alerts={data} /> : <p class="faint">No alert has been closed yet.</p>}
            {meta.total > data.length && <Pager meta={meta} shown={data.length} turn={(offset) => filter({ offset: offset || null })} />}
          </>
        )}
      </Read>
    </Section>
  );
}

function List({ alerts }: { alerts: readonly Alert[] }): JSX.Element {
  return (
    <ul class="alerts">
      {alerts.map((alert) => (
        <li key={alert.id}>
          <One alert={alert} />
        </li>
      ))}
    </ul>
  );
}

function One({ alert }: { alert: Alert }): JSX.Element {
  const kind = KINDS[alert.kind];
  const [tone, icon, text] = SEVERITIES[alert.severity];
  const title = titleOf(alert, kind?.title);
  return (
    <article class={`card alert ${alert.closed_at ? "closed" : alert.severity}`} aria-label={`${title}, ${alert.severity}`}>
      <header>
        <Badge tone={alert.closed_at ? "neutral" : tone} icon={icon}>
          {text}
        </Badge>
        <h3>{title}</h3>
      </header>
      <Acknowledge alert={alert} title={title} />
      <p>{alert.message}</p>
      {!alert.closed_at && kind && (
        <p class="soft">
          {kind.meaning}{" "}
          {kind.look.map(([to, words]) => (
            <span key={to}>
              <Link to={to}>{words}</Link>{" "}
            </span>
          ))}
        </p>
      )}
      <Times alert={alert} />
    </article>
  );
}

function Acknowledge({ alert, title }: { alert: Alert; title: string }): JSX.Element | null {
  const { may, backend } = useDesk();
  const acknowledge = useAction(ACKNOWLEDGE, AREAS, "Acknowledged.");
  if (alert.closed_at || alert.acknowledged_at || !may("alert_write") || backend.home === "app") return null;
  return (
    <button type="button" disabled={acknowledge.busy} onClick={() => void acknowledge.run(alert.id)}>
      Acknowledge
      <span class="unseen">
        {title}, {alert.severity}
      </span>
    </button>
  );
}

function Times({ alert: { opened_at, closed_at, acknowledged_at, acknowledged_by } }: { alert: Alert }): JSX.Element {
  return (
    <footer>
      <span>
        Opened <Ago at={opened_at} />
      </span>
      {closed_at && (
        <span>
          Closed <Ago at={closed_at} />, after {duration(Date.parse(closed_at) - Date.parse(opened_at))}
        </span>
      )}
      {acknowledged_at && (
        <span>
          Acknowledged by {acknowledged_by ?? "somebody"} <Ago at={acknowledged_at} />
        </span>
      )}
    </footer>
  );
}
