// One webhook: how it is set up, what can be done to it, what was sent to it.

import "./webhooks.css";

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Badge, type Tone } from "../components/badge";
import { Dialog } from "../components/dialog";
import { Facts } from "../components/facts";
import { useFilter } from "../components/filters";
import { Head, Section } from "../components/head";
import { Icon, type IconName } from "../components/icons";
import { Pager } from "../components/pager";
import { Block, Loading, Read } from "../components/states";
import { Table } from "../components/table";
import { TableFrame } from "../components/table_frame";
import { Ago } from "../components/time";
import { useAction, useData, useDesk } from "../desk";
import { go, hashOf, type Route } from "../route";
import type { Listed } from "../shapes";
import type { ViewProps } from "../views";
import { CHANGE, DELETE, type Delivery, RESEND, ROTATE, sendingText, TEST, type Webhook as Hook } from "./hooks";
import { Trail } from "./task";
import { ChangeWebhook, Secret } from "./webhook_form";
import { Forbidden, State } from "./webhooks";

const AREAS = ["webhooks"] as const;

export function Webhook({ route }: ViewProps): JSX.Element {
  const { may, backend } = useDesk();
  const path = `/api/webhooks/${encodeURIComponent(route.id ?? "")}`;
  const hook = useData<Hook>(may("webhook_read") ? path : null, {}, AREAS);
  if (!may("webhook_read")) {
    return (
      <>
        <Head title="Webhook" />
        <Forbidden />
      </>
    );
  }
  return (
    <>
      <Trail view="webhooks" title="Webhooks" id={route.id ?? ""} />
      <Read
        from={hook}
        loading={
          <>
            <Head title="Webhook" />
            <Loading />
          </>
        }
      >
        {(found) => (
          <>
            <Head title={<span class="hook-url">{found.url}</span>} note={found.description}>
              {may("webhook_write") && backend.home === "browser" && <Actions hook={found} />}
            </Head>
            {found.off_because && <p class="stale">{found.off_because}</p>}
            <Facts
              of={[
                ["State", <State of={found} />],
                ["Events", found.events.join(", ")],
                ["Added", <Ago at={found.created_at} />],
                ["Last delivery", <Ago at={found.last_delivery?.at} />],
              ]}
            />
            <Deliveries hook={found} route={route} />
          </>
        )}
      </Read>
    </>
  );
}

function Actions({ hook }: { hook: Hook }): JSX.Element {
  const { toast } = useDesk();
  const [open, setOpen] = useState<"change" | "rotate" | "delete" | null>(null);
  const change = useAction(CHANGE, AREAS, hook.active ? "Switched off." : "Switched on.");
  const test = useAction(TEST, AREAS);
  const tryOut = async () => {
    const sent = (await test.run(hook.id)) as Delivery | undefined;
    const last = sent?.attempts.at(-1);
    if (last) toast(`Test call: ${sendingText(last)}`, sent?.state === "delivered" ? "good" : "bad");
  };
  const close = () => setOpen(null);
  return (
    <>
      <button type="button" disabled={test.busy} onClick={() => void tryOut()}>
        {test.busy ? "Calling…" : "Send a test"}
      </button>
      <button type="button" disabled={change.busy} onClick={() => void change.run({ id: hook.id, active: !hook.active })}>
        {hook.active ? "Switch off" : "Switch on"}
      </button>
      <button type="button" onClick={() => setOpen("change")}>
        Change
      </button>
      <button type="button" onClick={() => setOpen("rotate")}>
        New secret
      </button>
      <button type="button" class="danger" onClick={() => setOpen("delete")}>
        Delete
      </button>
      {open === "change" && <ChangeWebhook hook={hook} close={close} />}
      {open === "rotate" && <Rotation id={hook.id} close={close} />}
      {open === "delete" && <Deletion hook={hook} close={close} />}
    </>
  );
}

function Rotation({ id, close }: { id: string; close: () => void }): JSX.Element {
  const rotate = useAction(ROTATE, AREAS);
  const [secret, setSecret] = useState<string | null>(null);
  const go = async () => {
    const answer = await rotate.run(id);
    if (answer !== undefined) setSecret(answer.secret);
  };
  if (secret) return <Secret title="New secret" secret={secret} close={close} />;
  return (
    <Dialog title="Make a new secret?" close={close}>
      <p>For a day both secrets sign what is sent, so that your receiver can change over. After that only the new one does.</p>
      <div class="actions">
        <button type="button" onClick={close}>
          Keep the secret
        </button>
        <button type="button" class="primary" disabled={rotate.busy} onClick={() => void go()}>
          Make a new one
        </button>
      </div>
    </Dialog>
  );
}

function Deletion({ hook, close }: { hook: Hook; close: () => void }): JSX.Element {
  const remove = useAction(DELETE, AREAS, "Webhook deleted.");
  const confirm = async () => {
    if ((await remove.run(hook.id)) !== undefined) go(hashOf("webhooks"));
  };
  return (
    <Dialog title="Delete this webhook?" close={close}>
      <p>
        <span class="hook-url">{hook.url}</span> is told nothing any more, and the log of what was sent to it is gone. To pause it, switch it off instead.
      </p>
      <div class="actions">
        <button type="button" onClick={close}>
          Keep it
        </button>
        <button type="button" class="danger" disabled={remove.busy} onClick={() => void confirm()}>
          Delete the webhook
        </button>
      </div>
    </Dialog>
  );
}

const STATES: Record<Delivery["state"], [Tone, IconName, string]> = {
  delivered: ["good", "check", "Delivered"],
  waiting: ["neutral", "clock", "Waiting"],
  failed: ["bad", "cross", "Failed"],
};

function Deliveries({ hook, route }: { hook: Hook; route: Route }): JSX.Element {
  const filter = useFilter(route);
  const log = useData<Listed<Delivery>>(`/api/webhooks/${encodeURIComponent(hook.id)}/deliveries`, { limit: 20, offset: route.query.offset }, AREAS);
  return (
    <Section title="Deliveries" note="of the last 30 days, newest first">
      <Read from={log}>
        {({ data, meta }) => (
          <>
            {data.length ? <Log hook={hook} deliveries={data} /> : <Quiet />}
            {meta.total > data.length && <Pager meta={meta} shown={data.length} turn={(offset) => filter({ offset: offset || null })} />}
          </>
        )}
      </Read>
    </Section>
  );
}

function Quiet(): JSX.Element {
  return (
    <Block icon="webhooks" title="Nothing was sent yet">
      <p>Send a test to see that your receiver hears this server.</p>
    </Block>
  );
}

function Log({ hook, deliveries }: { hook: Hook; deliveries: Delivery[] }): JSX.Element {
  const { may, backend } = useDesk();
  const mayResend = may("webhook_write") && backend.home === "browser";
  return (
    <TableFrame>
      <Table<Delivery>
        caption="Deliveries"
        rows={deliveries}
        rowKey={(delivery) => delivery.id}
        columns={[
          { head: "Event", cell: (delivery) => <code>{delivery.event}</code> },
          { head: "State", cell: (delivery) => <Standing of={delivery} /> },
          { head: "Attempts", cell: (delivery) => <Sendings of={delivery} />, kind: "wide" },
          { head: "When", cell: (delivery) => <Ago at={delivery.created_at} /> },
          ...(mayResend ? [{ head: "Again", cell: (delivery: Delivery) => <Resend hook={hook} delivery={delivery} /> }] : []),
        ]}
      />
    </TableFrame>
  );
}

function Standing({ of: { state } }: { of: Delivery }): JSX.Element {
  const [tone, icon, text] = STATES[state];
  return (
    <Badge tone={tone} icon={icon}>
      {text}
    </Badge>
  );
}

function Sendings({ of: { attempts, next_at } }: { of: Delivery }): JSX.Element {
  return (
    <ol class="sendings">
      {attempts.map((attempt, index) => (
        <li key={attempt.at}>
          {index + 1}. {sendingText(attempt)}
        </li>
      ))}
      {next_at && (
        <li>
          {attempts.length + 1}. to be sent <Ago at={next_at} />
        </li>
      )}
    </ol>
  );
}

function Resend({ hook, delivery }: { hook: Hook; delivery: Delivery }): JSX.Element {
  const resend = useAction(RESEND, AREAS, "Sent again.");
  return (
    <button type="button" class="quiet" disabled={resend.busy} onClick={() => void resend.run({ id: hook.id, delivery: delivery.id })}>
      <Icon name="retry" />
      Resend<span class="unseen"> {delivery.event}</span>
    </button>
  );
}
