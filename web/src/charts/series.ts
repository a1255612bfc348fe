// What the API says of usage, and the few sums that the page makes of it. Pure: web/test/series.test.ts holds them to it.

import { type Look, looksOf } from "./look";

export type Step = "hour" | "day";
type Counts = number[];
type Latencies = (number | null)[];

/** One group of /api/usage/series: a value for each step of time. */
export interface SeriesGroup {
  group: string;
  tasks: Counts;
  attempts: Counts;
  completed: Counts;
  fallbacks: Counts;
  hedges: Counts;
  tokens_in: Counts;
  tokens_out: Counts;
  cost_usd: Counts;
  p50_ms: Latencies;
  p95_ms: Latencies;
  p99_ms: Latencies;
}

export interface Series {
  step: Step;
  at: string[];
  groups: SeriesGroup[];
}

export type Counted = { [Name in keyof SeriesGroup]: SeriesGroup[Name] extends Counts ? Name : never }[keyof SeriesGroup] & string;
export type Percentile = "p50_ms" | "p95_ms" | "p99_ms";

/** How the groups are told apart, in every chart and table of them. */
export function looksIn(series: Series): (name: string) => Look {
  return looksOf(series.groups.map(({ group }) => group));
}

export function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

/** Of all groups, over all steps. */
export function total(series: Series, measure: Counted): number {
  return sum(series.groups.map((group) => sum(group[measure])));
}

/** Of all groups, in each step. */
export function totals(series: Series, measure: Counted): number[] {
  return series.at.map((_, index) => sum(series.groups.map((group) => group[measure][index] ?? 0)));
}

/** The share of each whole; null where the whole is nothing. */
export function shares(parts: readonly number[], wholes: readonly number[]): (number | null)[] {
  return wholes.map((whole, index) => share(parts[index] ?? 0, whole));
}

export function share(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}

/** Each list on top of the ones before it, from the bottom up. */
export function stacked(lists: readonly (readonly (number | null)[])[]): number[][] {
  const below: number[] = [];
  return lists.map((list) => list.map((value, index) => (below[index] = (below[index] ?? 0) + (value ?? 0))));
}

/** The step in which the values are highest; null where all are nothing. */
export function peak(values: readonly (number | null)[]): number | null {
  let highest: number | null = null;
  values.forEach((value, index) => {
    if (value !== null && value > (highest === null ? 0 : (values[highest] ?? 0))) highest = index;
  });
  return highest;
}

const HOUR = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY_HOUR = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
// A day of the report is one of UTC, wherever the reader is.
const DAY = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", timeZone: "UTC" });
const WEEKDAY = new Intl.DateTimeFormat("en", { weekday: "short", month: "short", day: "numeric", timeZone: "UTC" });

/** As it stands at an axis. */
export function stepMark(at: string, step: Step): string {
  return (step === "hour" ? HOUR : DAY).format(new Date(at));
}

/** As it stands in a sentence or a table. */
export function stepName(at: string, step: Step): string {
  return (step === "hour" ? DAY_HOUR : WEEKDAY).format(new Date(at));
}

/** As it stands in the midst of a sentence. */
export function stepPhrase(at: string, step: Step): string {
  return `${step === "hour" ? "at" : "on"} ${stepName(at, step)}`;
}
