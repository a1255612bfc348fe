// The sums that the page makes of what the API says, and how their points and steps are told.

import assert from "node:assert/strict";
import { test } from "node:test";
import { looksOf, TINTS } from "../src/charts/look";
import { scaleOf, toneOf } from "../src/charts/meter";
import { everyOf, pointAfter, spoken } from "../src/charts/points";
import { peak, type Series, share, shares, stacked, stepMark, stepName, stepPhrase, total, totals } from "../src/charts/series";
import { pathOf } from "../src/charts/spark";

const at = ["2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"];
const group = (name: string, cost_usd: number[], p95_ms: (number | null)[]) => ({
  group: name,
  tasks: [1, 2, 3],
  attempts: [2, 0, 4],
  completed: [1, 0, 4],
  fallbacks: [0, 0, 1],
  hedges: [0, 0, 0],
  tokens_in: [10, 20, 30],
  tokens_out: [1, 2, 3],
  cost_usd,
  p50_ms: p95_ms,
  p95_ms,
  p99_ms: p95_ms,
});
const series: Series = { step: "day", at, groups: [group("groq", [0.5, 0, 0.25], [100, null, 300]), group("openai", [1, 2, 0.5], [null, null, null])] };

test("a total is of all groups over all steps", () => {
  assert.equal(total(series, "cost_usd"), 4.25);
  assert.equal(total(series, "tasks"), 12);
});

test("totals are of all groups in each step", () => {
  assert.deepEqual(totals(series, "cost_usd"), [1.5, 2, 0.75]);
  assert.deepEqual(totals({ ...series, groups: [] }, "cost_usd"), [0, 0, 0]);
});

test("a share of nothing is none", () => {
  assert.equal(share(1, 4), 0.25);
  assert.equal(share(0, 0), null);
  assert.deepEqual(shares([1, 0, 4], [2, 0, 4]), [0.5, null, 1]);
});

test("bars stand on those before them, and what is unknown has no height", () => {
  assert.deepEqual(stacked([[1, 2], [3, null], [0, 5]]), [[1, 2], [4, 2], [4, 7]]);
  assert.deepEqual(stacked([]), []);
});

test("the peak is the first of the highest, and of nothing there is none", () => {
  assert.equal(peak([1, 3, 3, null]), 1);
  assert.equal(peak([0, 0]), null);
  assert.equal(peak([null]), null);
  assert.equal(peak([]), null);
});

test("a day is one of UTC wherever the reader is", () => {
  assert.equal(stepMark(at[1]!, "day"), "Nov 25");
  assert.equal(stepName(at[1]!, "day"), "Wed, Nov 25");
  assert.equal(stepPhrase(at[1]!, "day"), "on Wed, Nov 25");
});

test("an hour is one of the reader's clock", () => {
  assert.equal(stepMark("2026-11-25T20:00:00Z", "hour"), "12:00");
  assert.equal(stepName("2026-11-25T20:00:00Z", "hour"), "Nov 25, 12:00");
});

test("a screen reader hears the value of every series at a point", () => {
  const traces = series.groups.map(({ group: name, p95_ms }) => ({ name, values: p95_ms, look: looksOf([name])(name) }));
  const of = { kind: "lines" as const, at, step: "day" as const, traces, format: (value: number | null) => (value === null ? "–" : `${value} ms`) };
  assert.equal(spoken(of, 2), "Thu, Nov 26: groq 300 ms, openai –");
});

test("keys lead from point to point and stay within them", () => {
  const rows: [string, number | null, number | null | undefined][] = [
    ["ArrowLeft", null, 9],
    ["ArrowRight", null, 0],
    ["ArrowLeft", 0, 0],
    ["ArrowRight", 9, 9],
    ["ArrowUp", 3, 4],
    ["ArrowDown", 3, 2],
    ["PageUp", 8, 9],
    ["PageDown", 8, 1],
    ["Home", 5, 0],
    ["End", 5, 9],
    ["Escape", 5, null],
    ["Escape", null, undefined],
    ["a", 5, undefined],
  ];
  for (const [key, from, to] of rows) assert.equal(pointAfter(key, from, 9), to, `${key} from ${from}`);
});

test("marks of an axis are at equal distances and end with the last", () => {
  assert.deepEqual(everyOf(5, 10), [0, 1, 2, 3, 4]);
  assert.deepEqual(everyOf(8, 4), [1, 3, 5, 7]);
  assert.deepEqual(everyOf(1, 4), [0]);
  for (let length = 1; length < 95; length += 1) {
    const marks = everyOf(length, 7);
    assert.ok(marks.length <= 7);
    assert.equal(marks.at(-1), length - 1);
  }
});

test("no two of thirteen series look alike, by colour and form, and order changes no look", () => {
  const names = Array.from({ length: 12 }, (_, index) => `model-${String(index).padStart(2, "0")}`);
  const looks = looksOf([...names, "other"]);
  const forms = [...names, "other"].map(looks).map(({ tint, texture }) => `${tint} ${texture}`);
  assert.equal(new Set(forms).size, 13);
  assert.equal(new Set(names.slice(0, TINTS).map((name) => looks(name).mark)).size, TINTS);
  assert.deepEqual(names.map(looksOf([...names].reverse())), names.map(looks));
  assert.deepEqual(looks("one that the chart has among the rest"), looks("other"));
});

test("a meter's width is 120 % of the limit, or up to 150 % where it goes so far", () => {
  assert.equal(scaleOf(10, null), 120);
  assert.equal(scaleOf(10, 130), 130);
  assert.equal(scaleOf(500, 10), 150);
});

test("a budget is near from 80 % on and over beyond 100 %", () => {
  assert.deepEqual([79.9, 80, 100, 100.1].map(toneOf), ["fine", "near", "near", "over"]);
});

test("a small line has a gap where nothing is known, and a dot where a value stands alone", () => {
  assert.equal(pathOf([0, 10, null, 5]), "M2.0 22.0h.01L32.7 2.0M94.0 12.0h.01");
  assert.equal(pathOf([null, null]), "");
  assert.equal(pathOf([0, 0]), "M2.0 22.0h.01L94.0 22.0");
});
