// A new webhook or a changed one: where to, of what. And a secret, which is told once.

import type { JSX, TargetedSubmitEvent } from "preact";
import { useRef, useState } from "preact/hooks";
import { newKey } from "../actions";
import { Dialog, FormEnd } from "../components/dialog";
import { Copy } from "../components/text";
import { useAction } from "../desk";
import { go, hashOf } from "../route";
import { ADD, CHANGE, EVENTS, type Webhook, type WebhookFields } from "./hooks";

export function NewWebhook({ close }: { close: () => void }): JSX.Element {
  const add = useAction(ADD, ["webhooks"]);
  const key = useRef(newKey());
  const [made, setMade] = useState<{ id: string; secret: string } | null>(null);
  const send = async (fields: WebhookFields) => {
    const answer = await add.run({ ...fields, key: key.current });
    if (answer !== undefined) setMade(answer);
  };
  const leave = () => {
    close();
    if (made) go(hashOf("webhooks", made.id));
  };
  if (made) return <Secret secret={made.secret} title="Webhook added" close={leave} />;
  return (
    <Dialog title="Add a webhook" close={close}>
      <Fields busy={add.busy} problem={add.error?.message} submit="Add webhook" send={send} changed={() => (key.current = newKey())} close={close} />
    </Dialog>
  );
}

export function ChangeWebhook({ hook, close }: { hook: Webhook; close: () => void }): JSX.Element {
  const change = useAction(CHANGE, ["webhooks"], "Webhook changed.");
  const send = async (fields: WebhookFields) => {
    if ((await change.run({ id: hook.id, ...fields })) !== undefined) close();
  };
  return (
    <Dialog title="Change the webhook" close={close}>
      <Fields of={hook} busy={change.busy} problem={change.error?.message} submit="Save" send={send} close={close} />
    </Dialog>
  );
}

interface FieldsProps {
  of?: Webhook;
  busy: boolean;
  problem: string | undefined;
  submit: string;
  send: (fields: WebhookFields) => Promise<void>;
  changed?: () => void;
  close: () => void;
}

function Fields({ of, busy, problem, submit, send, changed, close }: FieldsProps): JSX.Element {
  const [none, setNone] = useState(false);
  const submitted = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const events = form.getAll("events").map(String);
    setNone(events.length === 0);
    if (events.length === 0) return;
    void send({ url: String(form.get("url")).trim(), events, description: String(form.get("description")).trim() });
  };
  return (
    <form class="form" onSubmit={submitted} onInput={changed}>
      <label>
        Address
        <input name="url" type="url" required maxLength={300} placeholder="https://example.org/hooks/vel" defaultValue={of?.url ?? ""} autofocus spellcheck={false} />
        <span class="hint">https, and reachable from the public internet: private addresses are refused.</span>
      </label>
      <label>
        Description
        <input name="description" maxLength={200} placeholder="What it is for" defaultValue={of?.description ?? ""} />
      </label>
      <fieldset class="events">
        <legend>Events</legend>
        {EVENTS.map(([event, text]) => (
          <label key={event}>
            <input type="checkbox" name="events" value={event} defaultChecked={of?.events.includes(event) ?? false} />
            <code>{event}</code>
            <span class="faint">{text}</span>
          </label>
        ))}
      </fieldset>
      <FormEnd
        problem={none ? "No event is chosen; it would be told of nothing; choose one." : problem}
        submit={busy ? "Sending…" : submit}
        disabled={busy}
        close={close}
      />
    </form>
  );
}

export function Secret({ title, secret, close }: { title: string; secret: string; close: () => void }): JSX.Element {
  return (
    <Dialog title={title} close={close} kept>
      <p>
        This is the secret that signs what is sent. It is shown <b>this once</b>: keep it where your receiver finds it.
      </p>
      <div class="secret">
        <code aria-label="Secret">{secret}</code>
        <Copy text={secret} what="Secret" />
      </div>
      <p class="soft">
        Your receiver checks the header <code>webhook-signature</code> with it, and answers with a status from 200 to 299 within the time limit.
      </p>
      <div class="actions">
        <button type="button" class="primary" onClick={close}>
          I have kept it
        </button>
      </div>
    </Dialog>
  );
}
