// What was spent, on what, against what it would have cost, and where the month goes.

import "./costs.css";

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { BrowserBackend } from "../browser";
import { Chart } from "../charts/chart";
import type { Plotted } from "../charts/points";
import { looksIn, peak, type Series, share, stepPhrase, sum, totals } from "../charts/series";
import { Named } from "../charts/swatch";
import { Choice, Filters, useFilter } from "../components/filters";
import { Head, Section } from "../components/head";
import { Icon } from "../components/icons";
import { Block, Loading, Read } from "../components/states";
import { Table } from "../components/table";
import { TableFrame } from "../components/table_frame";
import { type Tile, Tiles } from "../components/tiles";
import { withQuery } from "../backend";
import { asRefusal, useData, useDesk } from "../desk";
import { money, percent, plural, short, words } from "../format";
import type { ViewProps } from "../views";
import { Budgets } from "./budgets";
import { GROUPS, oneOf, PERIODS, savingText, type UsageLine, type UsageReport } from "./usage";

export function Costs({ route }: ViewProps): JSX.Element {
  const filter = useFilter(route);
  const period = oneOf(route.query.period, PERIODS, "week");
  const group_by = oneOf(route.query.group_by, GROUPS);
  const report = useData<UsageReport>("/api/usage", { period, group_by }, ["usage"]);
  const series = useData<Series>("/api/usage/series", { period, group_by }, ["usage"]);
  return (
    <>
      <Head title="Costs" note="What answers cost, and what they would have cost on the strongest model alone.">
        <Export period={period} groupBy={group_by} />
      </Head>
      <Filters>
        <Choice label="Period" value={period} options={PERIODS} set={(value) => filter({ period: value })} />
        <Choice label="Grouped" value={group_by} options={GROUPS} set={(value) => filter({ group_by: value })} />
      </Filters>
      <Read from={report}>
        {(told) => (
          <>
            <Tiles of={tilesOf(told)} />
            {told.groups.length === 0 ? (
              <Nothing />
            ) : (
              <>
                <Read from={series} loading={<Loading lines={5} />}>
                  {(over) => (
                    <>
                      <Spending series={over} />
                      <ByGroup series={over} lines={told.groups} whole={told.cost_usd} groupBy={group_by} />
                    </>
                  )}
                </Read>
              </>
            )}
          </>
        )}
      </Read>
      <Budgets />
    </>
  );
}

function Nothing(): JSX.Element {
  return (
    <Block icon="costs" title="Nothing was spent in this time">
      <p>Costs appear as soon as a task has been answered. Choose a longer period to look further back.</p>
    </Block>
  );
}

function tilesOf(told: UsageReport): Tile[] {
  const { month_to_date_usd, month_end_usd, basis_days } = told.projection;
  const tasks = sum(told.groups.map((line) => line.tasks));
  const saved = told.savings_usd ?? 0;
  return [
    { name: "Spent", value: money(told.cost_usd), note: `on ${plural(tasks, "task")}` },
    { name: saved < 0 ? "Spent beyond the baseline" : "Saved", value: money(told.savings_usd === null ? null : Math.abs(saved)), note: savingText(told), gain: saved > 0 },
    { name: "This month so far", value: money(month_to_date_usd), note: "days and months are those of UTC" },
    {
      name: "Projected month end",
      value: money(month_end_usd),
      note: month_end_usd === null ? "after the first whole day" : `at the pace of the last ${plural(basis_days, "day")}`,
    },
  ];
}

function Spending({ series }: { series: Series }): JSX.Element {
  const of = useMemo<Plotted>(() => {
    const look = looksIn(series);
    const traces = series.groups.map(({ group, cost_usd }) => ({ name: group, values: cost_usd, look: look(group) }));
    return { kind: "bars", at: series.at, step: series.step, traces, format: money };
  }, [series]);
  const whole = (name: string) => money(sum(series.groups.find(({ group }) => group === name)?.cost_usd ?? []));
  return <Chart level={2} title={series.step === "hour" ? "Cost per hour" : "Cost per day"} summary={spendingText(series)} of={of} whole={whole} />;
}

function spendingText(series: Series): string {
  const all = totals(series, "cost_usd");
  const most = peak(all);
  if (most === null) return "Nothing was spent in this time.";
  return `${money(sum(all))} in all; the most ${stepPhrase(series.at[most]!, series.step)}, ${money(all[most])}.`;
}

function ByGroup({ series, lines, whole, groupBy }: { series: Series; lines: UsageLine[]; whole: number; groupBy: string }): JSX.Element {
  const look = looksIn(series);
  const names = new Map<string, string>(GROUPS);
  return (
    <Section title={names.get(groupBy) ?? "Groups"} note="dearest first">
      <TableFrame name="Costs, as a table">
        <Table<UsageLine>
          caption={`Costs ${(names.get(groupBy) ?? "").toLowerCase()}`}
          rows={lines}
          rowKey={(line) => line.group}
          columns={[
            { head: words(groupBy), cell: ({ group }) => <Named kind="bars" look={look(group)} name={group} /> },
            { head: "Cost", cell: (line) => money(line.cost_usd), kind: "number" },
            { head: "Share", cell: (line) => <Share of={share(line.cost_usd, whole)} />, kind: "number", from: "medium" },
            { head: "Tasks", cell: (line) => short(line.tasks), kind: "number" },
            { head: "Tokens in", cell: (line) => short(line.tokens_in), kind: "number", from: "medium" },
            { head: "Tokens out", cell: (line) => short(line.tokens_out), kind: "number", from: "medium" },
            { head: "Baseline", cell: (line) => money(line.baseline_cost_usd), kind: "number", from: "large" },
            { head: "Saved", cell: (line) => money(line.savings_usd), kind: "number" },
          ]}
        />
      </TableFrame>
    </Section>
  );
}

function Share({ of }: { of: number | null }): JSX.Element {
  return (
    <span class="share">
      {percent(of)}
      <svg viewBox="0 0 56 6" preserveAspectRatio="none" aria-hidden="true" focusable="false">
        <rect width={56 * (of ?? 0)} height="6" />
      </svg>
    </span>
  );
}

function Export({ period, groupBy }: { period: string; groupBy: string }): JSX.Element | null {
  const { backend, toast } = useDesk();
  if (backend.home === "app") return null;
  const save = async (format: "csv" | "json") => {
    const path = withQuery("/api/usage/export", { period, group_by: groupBy, format });
    try {
      await (backend as BrowserBackend).save(path, `usage-${period}-by-${groupBy}.${format}`);
    } catch (problem) {
      toast(asRefusal(problem).message, "bad");
    }
  };
  return (
    <>
      {(["csv", "json"] as const).map((format) => (
        <button type="button" key={format} onClick={() => void save(format)}>
          <Icon name="down" />
          <span class="unseen">Export as </span>
          {format.toUpperCase()}
        </button>
      ))}
    </>
  );
}
