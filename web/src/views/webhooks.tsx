// Addresses that are told what happens: all of them, and the way to add one.

import "./webhooks.css";

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { inBrowser } from "../app";
import { Badge } from "../components/badge";
import { useFilter } from "../components/filters";
import { Head } from "../components/head";
import { Icon } from "../components/icons";
import { Pager } from "../components/pager";
import { Block, Read } from "../components/states";
import { Table } from "../components/table";
import { TableFrame } from "../components/table_frame";
import { Ago } from "../components/time";
import { useData, useDesk } from "../desk";
import { useKeys } from "../keys";
import { hashOf } from "../route";
import type { Listed } from "../shapes";
import type { ViewProps } from "../views";
import type { Webhook as Hook } from "./hooks";
import { NewWebhook } from "./webhook_form";

export function Webhooks({ route }: ViewProps): JSX.Element {
  const { may, backend } = useDesk();
  const filter = useFilter(route);
  const [adding, setAdding] = useState(false);
  const mayRead = may("webhook_read");
  const mayAdd = may("webhook_write") && backend.home === "browser";
  const hooks = useData<Listed<Hook>>(mayRead ? "/api/webhooks" : null, { limit: 20, offset: route.query.offset }, ["webhooks"]);
  useKeys(mayAdd ? { n: () => setAdding(true) } : {});
  const add = mayAdd && (
    <button type="button" class="primary" onClick={() => setAdding(true)}>
      <Icon name="plus" />
      Add webhook
    </button>
  );
  return (
    <>
      <Head title="Webhooks" note="Addresses of yours that are told what happens here, signed.">
        {add}
      </Head>
      {mayRead ? (
        <Read from={hooks}>
          {({ data, meta }) => (
            <>
              {data.length ? <List hooks={data} /> : <None mayAdd={mayAdd} />}
              {meta.total > data.length && <Pager meta={meta} shown={data.length} turn={(offset) => filter({ offset: offset || null })} />}
            </>
          )}
        </Read>
      ) : (
        <Forbidden />
      )}
      {mayRead && backend.home === "app" && <p class="elsewhere">{inBrowser("add or change a webhook")}</p>}
      {adding && <NewWebhook close={() => setAdding(false)} />}
    </>
  );
}

export function Forbidden(): JSX.Element {
  const { me } = useDesk();
  return (
    <Block icon="lock" title="You have no permission to see webhooks">
      <p>Your role, {me.role.replace(/_/g, " ")}, has none. Ask an administrator of your organisation.</p>
    </Block>
  );
}

function None({ mayAdd }: { mayAdd: boolean }): JSX.Element {
  return (
    <Block icon="webhooks" title="There are no webhooks yet">
      <p>{mayAdd ? "Add an address, and it is told of ends of tasks and runs, questions to people, budgets and alerts, three times at most." : "Whoever adds one is told of what happens to things of theirs."}</p>
    </Block>
  );
}

function List({ hooks }: { hooks: Hook[] }): JSX.Element {
  return (
    <TableFrame>
      <Table<Hook>
        caption="Webhooks"
        rows={hooks}
        rowKey={(hook) => hook.id}
        to={(hook) => hashOf("webhooks", hook.id)}
        columns={[
          { head: "Address", cell: (hook) => <span class="hook-url">{hook.url}</span>, kind: "wide" },
          { head: "Description", cell: (hook) => hook.description || <span class="faint">–</span>, from: "large" },
          { head: "Events", cell: (hook) => <EventCount of={hook.events} />, from: "medium" },
          { head: "State", cell: (hook) => <State of={hook} /> },
          { head: "Last delivery", cell: (hook) => <LastDelivery of={hook} /> },
        ]}
      />
    </TableFrame>
  );
}

function EventCount({ of }: { of: string[] }): JSX.Element {
  return <span title={of.join(", ")}>{of.length === 1 ? of[0] : `${of[0]} and ${of.length - 1} more`}</span>;
}

export function State({ of }: { of: Hook }): JSX.Element {
  if (of.active) {
    return (
      <Badge tone="good" icon="check">
        On
      </Badge>
    );
  }
  return (
    <Badge tone={of.off_because ? "bad" : "neutral"} icon="stop">
      Off
    </Badge>
  );
}

function LastDelivery({ of: { last_delivery } }: { of: Hook }): JSX.Element {
  if (!last_delivery) return <span class="faint">None yet</span>;
  const { ok, status, at } = last_delivery;
  return (
    <span class="with-swatch">
      <Badge tone={ok ? "good" : "bad"} icon={ok ? "check" : "cross"}>
        {status === null ? "No answer" : String(status)}
      </Badge>
      <Ago at={at} />
    </span>
  );
}
