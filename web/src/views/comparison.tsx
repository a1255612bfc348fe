// One comparison: the answers side by side, to be read and rated, if wanted without knowing whose they are.

import "./compare.css";

import type { JSX } from "preact";
import { Status } from "../components/badge";
import { Head, Section } from "../components/head";
import { Loading, Read } from "../components/states";
import { Text } from "../components/text";
import { Ago } from "../components/time";
import { useData, useDesk } from "../desk";
import { count, duration, money, plural, words } from "../format";
import { go, hashOf, Link } from "../route";
import { OPEN } from "../shapes";
import type { ViewProps } from "../views";
import { type Comparison as Told, type Entry, least, unrated } from "./comparisons";
import { Rating } from "./rating";
import { Trail } from "./task";

const TITLE_CHARACTERS = 140;

export function Comparison({ route }: ViewProps): JSX.Element {
  const id = route.id ?? "";
  const blind = route.query.blind === "1";
  const comparison = useData<Told>(`/api/comparisons/${encodeURIComponent(id)}`, { blind: blind || null }, ["comparisons", "tasks"]);
  return (
    <>
      <Trail view="compare" title="Compare" id={id} />
      <Read from={comparison} loading={<Waiting />}>{(told) => <Whole told={told} />}</Read>
    </>
  );
}

function Waiting(): JSX.Element {
  return (
    <>
      <Head title="Comparison" />
      <Loading />
    </>
  );
}

function Whole({ told }: { told: Told }): JSX.Element {
  const { id, prompt, entries, blind } = told;
  const cut = prompt.length > TITLE_CHARACTERS;
  const left = unrated(entries).length;
  return (
    <>
      <Head title={cut ? `${prompt.slice(0, TITLE_CHARACTERS)}…` : prompt} note={<About told={told} />}>
        {!blind && left > 0 && (
          <button type="button" onClick={() => go(hashOf("compare", id, { blind: 1 }), true)}>
            Rate blind
          </button>
        )}
      </Head>
      {blind && <Hidden id={id} waiting={entries.filter(({ status }) => OPEN.has(status)).length} left={left} />}
      {cut && (
        <Section title="Prompt">
          <Text of={prompt} label="Prompt" />
        </Section>
      )}
      <Answers entries={entries} />
    </>
  );
}

function About({ told: { status, task_type, created_at, entries, cost_usd } }: { told: Told }): JSX.Element {
  return (
    <>
      <Status of={status} /> {task_type && `${words(task_type)}, `}
      {plural(entries.length, "model")}
      {cost_usd !== null && `, ${money(cost_usd)} in all`}, started <Ago at={created_at} />
    </>
  );
}

function Hidden({ id, waiting, left }: { id: string; waiting: number; left: number }): JSX.Element {
  return (
    <div class="blind" role="status">
      <span>
        Blind: models, prices and times are shown once you have rated every answer. {waiting > 0 ? `${waiting} still to come.` : `${left} to rate.`}
      </span>
      <button type="button" onClick={() => go(hashOf("compare", id), true)}>
        Show them now
      </button>
    </div>
  );
}

function Answers({ entries }: { entries: readonly Entry[] }): JSX.Element {
  const done = (read: (entry: Entry) => number | null) => entries.map((entry) => (entry.status === "completed" ? read(entry) : null));
  const fastest = least(done((entry) => entry.total_ms));
  const cheapest = least(done((entry) => entry.cost_usd));
  return (
    <ul class="answers">
      {entries.map((entry, index) => (
        <li key={entry.task}>
          <Answer entry={entry} fastest={fastest === index} cheapest={cheapest === index} />
        </li>
      ))}
    </ul>
  );
}

interface AnswerProps {
  entry: Entry;
  fastest: boolean;
  cheapest: boolean;
}

function Answer({ entry, fastest, cheapest }: AnswerProps): JSX.Element {
  const name = entry.model ?? `Answer ${entry.label}`;
  const { may } = useDesk();
  return (
    <article class="card answer" aria-label={name}>
      <header>
        <h2>{name}</h2>
        <Status of={entry.status} />
      </header>
      {entry.model === null ? <span /> : <Numbers entry={entry} fastest={fastest} cheapest={cheapest} />}
      <Body entry={entry} name={name} />
      {entry.status === "completed" && <Rating task={entry.task} rating={entry.rating} name={name} locked={!may("task_change")} />}
    </article>
  );
}

function Numbers({ entry, fastest, cheapest }: { entry: Entry; fastest: boolean; cheapest: boolean }): JSX.Element {
  return (
    <div class="answer-facts">
      <span class={fastest ? "best" : ""} title={entry.first_token_ms === null ? "" : `First word after ${duration(entry.first_token_ms)}`}>
        {duration(entry.total_ms)}
        {fastest && ", fastest"}
      </span>
      <span class={cheapest ? "best" : ""}>
        {money(entry.cost_usd)}
        {cheapest && ", cheapest"}
      </span>
      <span>{count(entry.tokens_out)} tokens</span>
      <Link to={hashOf("tasks", entry.task)}>Task</Link>
    </div>
  );
}

function Body({ entry: { status, output, error }, name }: { entry: Entry; name: string }): JSX.Element {
  if (output !== null) return <Text of={output} label={`Text of ${name}`} />;
  if (error) return <p class="problem">{error.message}</p>;
  return <p class="faint">{OPEN.has(status) ? "Being answered…" : "No answer."}</p>;
}
