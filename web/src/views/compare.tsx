// Several models on one prompt: the comparisons that were made, and how the models stand by their ratings.

import "./compare.css";

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { inBrowser } from "../app";
import { Badge, Status } from "../components/badge";
import { Choice, Filters, useFilter } from "../components/filters";
import { Head, Section } from "../components/head";
import { Icon } from "../components/icons";
import { Pager } from "../components/pager";
import { Block, Loading, Read } from "../components/states";
import { Table } from "../components/table";
import { TableFrame } from "../components/table_frame";
import { Ago } from "../components/time";
import { useData, useDesk } from "../desk";
import { duration, money, NONE, plural, words } from "../format";
import { useKeys } from "../keys";
import { hashOf } from "../route";
import { type Listed, TASK_TYPES } from "../shapes";
import type { ViewProps } from "../views";
import { NewComparison } from "./compare_form";
import { type ComparisonRow, type Pair, type Standing, type Standings as Told } from "./comparisons";

const AREAS = ["comparisons", "tasks"] as const;

export function Compare({ route }: ViewProps): JSX.Element {
  const { may, backend } = useDesk();
  const filter = useFilter(route);
  const [making, setMaking] = useState(false);
  const made = useData<Listed<ComparisonRow>>("/api/comparisons", { limit: 20, offset: route.query.offset }, AREAS);
  const maySubmit = may("task_submit");
  const here = maySubmit && backend.home === "browser";
  useKeys(here ? { n: () => setMaking(true) } : {});
  return (
    <>
      <Head title="Compare" note="One prompt to several models, their answers side by side, rated by you.">
        {here && (
          <button type="button" class="primary" onClick={() => setMaking(true)}>
            <Icon name="plus" />
            New comparison
          </button>
        )}
      </Head>
      {maySubmit && backend.home === "app" && <p class="elsewhere">{inBrowser("compare models")}</p>}
      <Read from={made}>
        {({ data, meta }) =>
          meta.total === 0 ? (
            <None maySubmit={here} />
          ) : (
            <>
              <List comparisons={data} />
              {meta.total > data.length && <Pager meta={meta} shown={data.length} turn={(offset) => filter({ offset: offset || null })} />}
            </>
          )
        }
      </Read>
      <Standings type={route.query.task_type ?? ""} choose={(task_type) => filter({ task_type })} />
      {making && <NewComparison close={() => setMaking(false)} />}
    </>
  );
}

function None({ maySubmit }: { maySubmit: boolean }): JSX.Element {
  return (
    <Block icon="compare" title="Nothing has been compared yet">
      <p>{maySubmit ? "Send one prompt to two to five models, and rate what comes back: the router learns from it, and you see which is worth its price." : "Comparisons that you may see appear here."}</p>
    </Block>
  );
}

function List({ comparisons }: { comparisons: ComparisonRow[] }): JSX.Element {
  return (
    <TableFrame>
      <Table<ComparisonRow>
        caption="Comparisons"
        rows={comparisons}
        rowKey={(one) => one.id}
        to={(one) => hashOf("compare", one.id)}
        columns={[
          { head: "Prompt", cell: (one) => one.prompt, kind: "wide" },
          { head: "Status", cell: (one) => <Status of={one.status} /> },
          { head: "Models", cell: (one) => plural(one.models.length, "model"), from: "medium" },
          { head: "Ratings", cell: (one) => <Rated of={one} /> },
          { head: "Cost", cell: (one) => money(one.cost_usd), kind: "number", from: "large" },
          { head: "Started", cell: (one) => <Ago at={one.created_at} /> },
        ]}
      />
    </TableFrame>
  );
}

function Rated({ of: { answered, rated } }: { of: ComparisonRow }): JSX.Element {
  const open = answered - rated;
  return <span class={open > 0 ? "" : "faint"}>{open > 0 ? `${open} to rate` : rated ? "All rated" : NONE}</span>;
}

function Standings({ type, choose }: { type: string; choose: (type: string | null) => void }): JSX.Element {
  const standings = useData<Told>("/api/comparisons/standings", { task_type: type }, AREAS);
  return (
    <Section title="Standings" note="by the ratings of comparisons">
      <Filters>
        <Choice label="Task type" value={type} options={TASK_TYPES.map((name) => [name, words(name)] as const)} set={choose} all="All task types" />
      </Filters>
      <Read from={standings} loading={<Loading lines={3} />}>
        {(told) => (told.models.length ? <Ranking told={told} /> : <p class="faint">There is no comparison of this type yet.</p>)}
      </Read>
    </Section>
  );
}

function Ranking({ told }: { told: Told }): JSX.Element {
  return (
    <>
      <TableFrame name="Standings, as a table">
        <Table<Standing>
          caption="How models stand"
          rows={told.models}
          rowKey={(one) => one.model}
          columns={[
            { head: "Model", cell: (one) => one.model },
            { head: "Mean rating", cell: (one) => one.mean_rating?.toFixed(2) ?? NONE, kind: "number" },
            { head: "Ratings", cell: (one) => one.ratings, kind: "number" },
            { head: "Answered", cell: (one) => `${one.answers} of ${one.asked}`, kind: "number", from: "medium" },
            { head: "Mean cost", cell: (one) => money(one.mean_cost_usd), kind: "number" },
            { head: "Median time", cell: (one) => duration(one.median_ms), kind: "number" },
          ]}
        />
      </TableFrame>
      {told.pairs.length === 0 && <p class="elsewhere">Rate the answers of two models to the same prompts, and what the difference is worth is told here.</p>}
      <ul class="verdicts" aria-label="What the ratings tell">
        {told.pairs.map((pair) => (
          <li key={`${pair.a} ${pair.b}`}>
            <Verdict of={pair} />
            <span>
              {!pair.significant && `${pair.a} and ${pair.b}: `}
              {pair.verdict}
            </span>
          </li>
        ))}
      </ul>
      <p class="elsewhere">
        {told.test} At a level of {told.alpha}, over {told.only_the_newest && "the newest "}
        {plural(told.comparisons, "comparison")}.
      </p>
    </>
  );
}

function Verdict({ of: { significant, p_adjusted } }: { of: Pair }): JSX.Element {
  if (significant) {
    return (
      <Badge tone="good" icon="check">
        Told apart
      </Badge>
    );
  }
  return (
    <Badge tone="neutral" icon={p_adjusted === null ? "clock" : "half"}>
      {p_adjusted === null ? "Too few yet" : "Not told apart"}
    </Badge>
  );
}
