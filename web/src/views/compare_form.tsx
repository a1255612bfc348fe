// A new comparison: the prompt, and the two to five models that are to answer it.

import type { JSX, TargetedSubmitEvent } from "preact";
import { useRef, useState } from "preact/hooks";
import { newKey } from "../actions";
import type { Action } from "../backend";
import { Dialog, FormEnd } from "../components/dialog";
import { Loading, Read } from "../components/states";
import { useAction, useData } from "../desk";
import { words } from "../format";
import { go, hashOf } from "../route";
import { TASK_TYPES } from "../shapes";
import { FEWEST_MODELS, MOST_MODELS } from "./comparisons";
import type { Provider } from "./health";

interface NewComparisonFields {
  prompt: string;
  models: string[];
  task_type: string | null;
  max_cost_usd: number | null;
  key: string;
}

const COMPARE: Action<NewComparisonFields> = {
  name: "compare models",
  rest: ({ key, ...body }) => ({ method: "POST", path: "/api/comparisons", body, key }),
};

export function NewComparison({ close }: { close: () => void }): JSX.Element {
  const compare = useAction(COMPARE, ["comparisons", "tasks"]);
  const providers = useData<{ data: Provider[] }>("/api/providers");
  const [models, setModels] = useState<string[]>([]);
  // Sent twice as it stands it is one comparison; changed, it is another.
  const key = useRef(newKey());
  const enough = models.length >= FEWEST_MODELS;
  const send = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "").trim();
    const answer = await compare.run({
      prompt: text("prompt"),
      models,
      task_type: text("task_type") || null,
      max_cost_usd: text("budget") ? Number(text("budget")) : null,
      key: key.current,
    });
    if (answer === undefined) return;
    close();
    go(hashOf("compare", answer.id, { blind: form.has("blind") ? 1 : null }));
  };
  return (
    <Dialog title="New comparison" close={close}>
      <form class="form" onInput={() => (key.current = newKey())} onSubmit={send}>
        <label>
          Prompt
          <textarea name="prompt" rows={5} required maxLength={100_000} autofocus placeholder="What are the models to answer?" />
        </label>
        <Read from={providers} loading={<Loading lines={3} />}>
          {({ data }) => <Models providers={data} chosen={models} choose={setModels} />}
        </Read>
        <div class="form-row">
          <label>
            Type
            <select name="task_type">
              <option value="">Inferred from the prompt</option>
              {TASK_TYPES.map((name) => (
                <option key={name} value={name}>
                  {words(name)}
                </option>
              ))}
            </select>
          </label>
          <label>
            Budget in USD, in all
            <input name="budget" type="number" min="0.000001" max="1000000" step="any" inputMode="decimal" placeholder="None" />
          </label>
        </div>
        <fieldset class="events">
          <label>
            <input type="checkbox" name="blind" value="1" />
            Blind
            <span class="faint">Models, prices and times stay hidden until you have rated the answers.</span>
          </label>
        </fieldset>
        <FormEnd
          problem={compare.error?.message}
          submit={compare.busy ? "Starting…" : enough ? `Compare ${models.length} models` : "Choose 2 models or more"}
          disabled={compare.busy || !enough}
          close={close}
        />
      </form>
    </Dialog>
  );
}

interface ModelsProps {
  providers: Provider[];
  chosen: string[];
  choose: (models: string[]) => void;
}

function Models({ providers, chosen, choose }: ModelsProps): JSX.Element {
  const names = providers
    .filter(({ configured }) => configured)
    .flatMap(({ provider, models }) => models.filter(({ retired }) => !retired).map(({ model }) => `${provider}/${model}`));
  const full = chosen.length >= MOST_MODELS;
  const toggle = (name: string) => choose(chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]);
  return (
    <fieldset class="events">
      <legend>
        Models <span class="faint">({chosen.length} of {FEWEST_MODELS} to {MOST_MODELS})</span>
      </legend>
      {names.length < FEWEST_MODELS && <p class="problem">Fewer than two models can be called; a provider with a key is missing; set one up first.</p>}
      <div class="picks">
        {names.map((name) => (
          <label key={name}>
            <input type="checkbox" checked={chosen.includes(name)} disabled={full && !chosen.includes(name)} onChange={() => toggle(name)} />
            {name}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
