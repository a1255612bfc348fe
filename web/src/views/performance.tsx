// How well and how fast the providers and models answer, over time and at this moment.

import "./performance.css";

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Chart } from "../charts/chart";
import { looksIn, type Series, type SeriesGroup, share, sum } from "../charts/series";
import { Spark } from "../charts/spark";
import { Named } from "../charts/swatch";
import { Choice, Filters, useFilter } from "../components/filters";
import { Head, Section } from "../components/head";
import { Block, Loading, Read } from "../components/states";
import { Table } from "../components/table";
import { TableFrame } from "../components/table_frame";
import { type Tile, Tiles } from "../components/tiles";
import { useData } from "../desk";
import { count, duration, percent, plural, short, words } from "../format";
import type { ViewProps } from "../views";
import { answersOf, answersText, attemptsOf, latencyOf, latencyText, PERCENTILES } from "./performance_charts";
import { Providers } from "./providers";
import { GROUPS, oneOf, PERIODS, type UsageLine, type UsageReport } from "./usage";

const KINDS = GROUPS.slice(0, 2);

export function Performance({ route }: ViewProps): JSX.Element {
  const filter = useFilter(route);
  const period = oneOf(route.query.period, PERIODS, "day");
  const group_by = oneOf(route.query.group_by, KINDS);
  const report = useData<UsageReport>("/api/usage", { period, group_by }, ["usage"]);
  const series = useData<Series>("/api/usage/series", { period, group_by }, ["usage"]);
  return (
    <>
      <Head title="Performance" note="Whether providers and models answer, how fast, and what stands in for those that do not." />
      <Providers />
      <Section title="Over time">
        <Filters>
          <Choice label="Period" value={period} options={PERIODS} set={(value) => filter({ period: value })} />
          <Choice label="Grouped" value={group_by} options={KINDS} set={(value) => filter({ group_by: value })} />
        </Filters>
        <Read from={report}>
          {({ groups }) =>
            groups.length === 0 ? (
              <Nothing />
            ) : (
              <>
                <Tiles of={tilesOf(groups)} />
                <Read from={series} loading={<Loading lines={8} />}>
                  {(over) => (
                    <>
                      <Charts series={over} lines={groups} />
                      <ByGroup series={over} lines={groups} groupBy={group_by} />
                    </>
                  )}
                </Read>
              </>
            )
          }
        </Read>
      </Section>
    </>
  );
}

function Nothing(): JSX.Element {
  return (
    <Block icon="performance" title="Nothing was asked of a model in this time">
      <p>Latency and success appear as soon as a task has run. Choose a longer period to look further back.</p>
    </Block>
  );
}

function tilesOf(lines: UsageLine[]): Tile[] {
  const all = (name: "attempts" | "completed" | "fallbacks" | "hedges") => sum(lines.map((line) => line[name]));
  const attempts = all("attempts");
  const missed = attempts - all("completed");
  return [
    { name: "Answered", value: percent(share(all("completed"), attempts), 1), note: `${count(missed)} of ${plural(attempts, "call")} gave no answer` },
    { name: "Calls", value: count(attempts), note: `for ${plural(sum(lines.map((line) => line.tasks)), "task")}` },
    { name: "Fallbacks", value: count(all("fallbacks")), note: "answers of a model that stood in for another" },
    { name: "Hedges", value: count(all("hedges")), note: "second calls, made because the first was slow" },
  ];
}

function Charts({ series, lines }: { series: Series; lines: UsageLine[] }): JSX.Element {
  const [chosen, setShown] = useState("p95_ms");
  // Of one group all percentiles, or one percentile of all groups.
  const options = [...PERCENTILES.map(([name, text]) => [name, `${text} of each`] as const), ...series.groups.map(({ group }) => [`of ${group}`, group] as const)];
  const shown = oneOf(chosen, options, "p95_ms");
  const line = (name: string) => lines.find(({ group }) => group === name);
  const latency = latencyOf(series, shown);
  const wholeLatency = (name: string) => duration(latency.whole(name, line));
  const answered = (name: string) => percent(line(name)?.success, 1);
  const choice = <Choice label="Latency of" value={shown} options={options} set={(value) => setShown(value ?? "p95_ms")} />;
  return (
    <div class="charts">
      <div class="broad">
        <Chart level={3} title="Latency" summary={latencyText(latency.of)} of={latency.of} whole={wholeLatency} controls={choice} />
      </div>
      <Chart level={3} title="Answered" summary={answersText(series)} of={answersOf(series)} whole={answered} />
      <Chart level={3} title="Calls" summary={`${count(sum(series.groups.map((group) => sum(group.attempts))))} in all, hedges and fallbacks among them.`} of={attemptsOf(series)} whole={(name) => count(sum(groupOf(series, name)?.attempts ?? []))} />
    </div>
  );
}

function groupOf(series: Series, name: string): SeriesGroup | undefined {
  return series.groups.find(({ group }) => group === name);
}

function ByGroup({ series, lines, groupBy }: { series: Series; lines: UsageLine[]; groupBy: string }): JSX.Element {
  const look = looksIn(series);
  return (
    <Section title={groupBy === "model" ? "By model" : "By provider"}>
      <TableFrame name="Performance, as a table">
        <Table<UsageLine>
          caption={`Performance by ${groupBy}`}
          rows={lines}
          rowKey={(line) => line.group}
          columns={[
            { head: words(groupBy), cell: ({ group }) => <Named kind="lines" look={look(group)} name={group} /> },
            { head: "Answered", cell: (line) => percent(line.success, 1), kind: "number" },
            { head: "p50", cell: (line) => duration(line.p50_ms), kind: "number" },
            { head: "p95", cell: (line) => duration(line.p95_ms), kind: "number" },
            { head: "p95 over time", cell: (line) => <Trend of={groupOf(series, line.group)} />, kind: "number", from: "large" },
            { head: "p99", cell: (line) => duration(line.p99_ms), kind: "number" },
            { head: "Calls", cell: (line) => short(line.attempts), kind: "number" },
            { head: "Fallbacks", cell: (line) => short(line.fallbacks), kind: "number", from: "medium" },
            { head: "Hedges", cell: (line) => short(line.hedges), kind: "number", from: "medium" },
          ]}
        />
      </TableFrame>
    </Section>
  );
}

function Trend({ of }: { of: SeriesGroup | undefined }): JSX.Element {
  return of ? <Spark values={of.p95_ms} /> : <span class="faint">–</span>;
}
