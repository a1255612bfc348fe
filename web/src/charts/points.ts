// What a chart shows, and its points in time: which are named at the axis, which a key leads to, what one is in words. Pure.

import type { Look } from "./look";
import { stepName, type Step } from "./series";

export interface Trace {
  name: string;
  values: readonly (number | null)[];
  look: Look;
}

export interface Plotted {
  kind: "bars" | "lines";
  at: readonly string[];
  step: Step;
  traces: readonly Trace[];
  /** A value as people read it. */
  format: (value: number | null) => string;
  /** The highest value that there can be, such as 1 for shares. */
  top?: number | undefined;
}

/** Where a key leads; undefined for one that leads nowhere. */
export function pointAfter(key: string, point: number | null, last: number): number | null | undefined {
  const from = point ?? last + 1;
  const places: Record<string, number | null> = {
    ArrowLeft: Math.max(0, from - 1),
    ArrowDown: Math.max(0, from - 1),
    ArrowRight: Math.min(last, (point ?? -1) + 1),
    ArrowUp: Math.min(last, (point ?? -1) + 1),
    PageDown: Math.max(0, from - 7),
    PageUp: Math.min(last, (point ?? -1) + 7),
    Home: 0,
    End: last,
  };
  if (point !== null) places.Escape = null;
  return places[key];
}

/** All values at a point, as a sentence. */
export function spoken({ at, step, traces, format }: Plotted, point: number): string {
  const values = traces.map(({ name, values }) => `${name} ${format(values[point] ?? null)}`);
  return `${stepName(at[point] ?? "", step)}: ${values.join(", ")}`;
}

/** At most so many of the numbers from 0 to below `length`, at equal distances; the last is one of them. */
export function everyOf(length: number, most: number): number[] {
  const by = Math.max(1, Math.ceil(length / most));
  const first = (length - 1) % by;
  return Array.from({ length: Math.ceil((length - first) / by) }, (_, index) => first + index * by);
}
