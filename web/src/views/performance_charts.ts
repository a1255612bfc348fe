// What the charts of performance show, of what the series say. Pure.

import type { Look } from "../charts/look";
import type { Plotted } from "../charts/points";
import { looksIn, type Percentile, type Series, share, shares, stepPhrase, total } from "../charts/series";
import { count, duration, percent } from "../format";
import type { UsageLine } from "./usage";

export const PERCENTILES: readonly (readonly [Percentile, string])[] = [
  ["p50_ms", "p50"],
  ["p95_ms", "p95"],
  ["p99_ms", "p99"],
];

const OF_ONE: Record<Percentile, Look> = {
  p50_ms: { tint: 2, texture: "plain", mark: "disc", dash: [] },
  p95_ms: { tint: 1, texture: "plain", mark: "square", dash: [7, 3] },
  p99_ms: { tint: 3, texture: "plain", mark: "triangle", dash: [2, 3] },
};

interface Latency {
  of: Plotted;
  /** The value over the whole period of the line of this name. */
  whole: (name: string, line: (group: string) => UsageLine | undefined) => number | null;
}

/** `shown` is a percentile, of each group, or "of <group>": all percentiles of that one. */
export function latencyOf(series: Series, shown: string): Latency {
  const group = series.groups.find((one) => `of ${one.group}` === shown);
  if (!group) return ofEach(series, PERCENTILES.find(([name]) => name === shown)?.[0] ?? "p95_ms");
  const traces = PERCENTILES.map(([name, text]) => ({ name: text, values: group[name], look: OF_ONE[name] }));
  return {
    of: { kind: "lines", at: series.at, step: series.step, traces, format: duration },
    whole: (text, line) => line(group.group)?.[PERCENTILES.find((one) => one[1] === text)![0]] ?? null,
  };
}

function ofEach(series: Series, percentile: Percentile): Latency {
  const look = looksIn(series);
  const traces = series.groups.map((group) => ({ name: group.group, values: group[percentile], look: look(group.group) }));
  return {
    of: { kind: "lines", at: series.at, step: series.step, traces, format: duration },
    whole: (name, line) => line(name)?.[percentile] ?? null,
  };
}

export function latencyText({ at, step, traces }: Plotted): string {
  const points = traces.flatMap(({ name, values }) => values.map((value, index) => ({ name, value: value ?? 0, index })));
  const slowest = points.reduce((most, point) => (point.value > most.value ? point : most), { name: "", value: 0, index: 0 });
  if (slowest.value === 0) return "No answer in this time.";
  return `Of answers; the slowest was ${slowest.name} ${stepPhrase(at[slowest.index]!, step)}, ${duration(slowest.value)}.`;
}

export function answersOf(series: Series): Plotted {
  const look = looksIn(series);
  const traces = series.groups.map(({ group, completed, attempts }) => ({ name: group, values: shares(completed, attempts), look: look(group) }));
  return { kind: "lines", at: series.at, step: series.step, traces, format: (value) => percent(value, value !== null && value < 1 && value > 0.9 ? 1 : 0), top: 1 };
}

export function answersText(series: Series): string {
  const attempts = total(series, "attempts");
  const completed = total(series, "completed");
  return `${count(completed)} of ${count(attempts)} calls were answered, ${percent(share(completed, attempts), 1)}.`;
}

export function attemptsOf(series: Series): Plotted {
  const look = looksIn(series);
  const traces = series.groups.map(({ group, attempts }) => ({ name: group, values: attempts, look: look(group) }));
  return { kind: "bars", at: series.at, step: series.step, traces, format: count };
}
