// How the providers are at this moment: whether their models are called, and when those that are held off are tried again.

import type { JSX } from "preact";
import { Badge, type Tone } from "../components/badge";
import { Section } from "../components/head";
import type { IconName } from "../components/icons";
import { Block, Loading, Read } from "../components/states";
import { Ago } from "../components/time";
import { useData, useDesk } from "../desk";
import { duration, percent, plural } from "../format";
import { type Breaker, healthOf, type Provider, type ProviderModel } from "./health";

const STATES: Record<Breaker["state"], [Tone, IconName, string]> = {
  closed: ["good", "check", "Up"],
  half_open: ["warn", "half", "Trying again"],
  open: ["bad", "stop", "Held off"],
};

export function Providers(): JSX.Element {
  const allowed = useDesk().may("route_explain");
  const providers = useData<{ data: Provider[] }>(allowed ? "/api/providers" : null, {}, ["usage", "tasks"]);
  return (
    <Section title="At this moment" note="size, chance that the next call is answered, time of an answer; what keeps failing is held off for a while">
      {allowed ? <Read from={providers} loading={<Loading lines={3} />}>{({ data }) => <Cards providers={data} />}</Read> : <Block icon="lock" title="You have no permission to see how providers are" />}
    </Section>
  );
}

function Cards({ providers }: { providers: Provider[] }): JSX.Element {
  const used = providers.filter(({ configured }) => configured);
  const unused = providers.filter(({ configured }) => !configured).map(({ provider }) => provider);
  return (
    <>
      {used.length === 0 && (
        <Block icon="performance" title="No provider can be called">
          <p>None has a key; set one in the environment of the server, or store one of your own (docs/integrations.md).</p>
        </Block>
      )}
      <ul class="providers">
        {used.map((provider) => (
          <li key={provider.provider}>
            <Card provider={provider} />
          </li>
        ))}
      </ul>
      {unused.length > 0 && used.length > 0 && <p class="elsewhere">Without a key: {unused.join(", ")}.</p>}
    </>
  );
}

function Card({ provider: { provider, models } }: { provider: Provider }): JSX.Element {
  const current = models.filter(({ retired }) => !retired);
  const [tone, icon, text] = healthOf(current);
  return (
    <article class="card provider" aria-label={provider}>
      <header>
        <h3>{provider}</h3>
        <Badge tone={tone} icon={icon}>
          {text}
        </Badge>
      </header>
      <ul class="provider-models">
        {current.map((model) => (
          <Model key={model.model} of={model} />
        ))}
      </ul>
    </article>
  );
}

function Model({ of: { model, tier, breaker, p_up, latency_ms, priced } }: { of: ProviderModel }): JSX.Element {
  const [tone, icon, text] = STATES[breaker.state];
  return (
    <li>
      <span class="mono">{model}</span>
      <Badge tone={tone} icon={icon}>
        {text}
      </Badge>
      <span class="faint model-facts">
        {tier}, <abbr title="How likely the next call is to be answered">{percent(p_up)}</abbr>, <abbr title="How long an answer of 500 tokens takes">{duration(latency_ms)}</abbr>
        {!priced && ", no price"}
      </span>
      <Trouble breaker={breaker} />
    </li>
  );
}

function Trouble({ breaker: { state, failures, retry_at } }: { breaker: Breaker }): JSX.Element | null {
  const failed = failures > 0 && plural(failures, "recent failure");
  if (state === "closed") return failed ? <span class="trouble">{failed}</span> : null;
  return (
    <span class="trouble">
      {failed && `${failed}; `}
      {state === "half_open" ? (
        "the next call tries it"
      ) : (
        <>
          tried again <Ago at={retry_at} />
        </>
      )}
    </span>
  );
}
