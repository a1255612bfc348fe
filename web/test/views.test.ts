// What views make of answers before they show them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Alert, inOrder, titleOf } from "../src/views/alert";
import { type Entry, least, unrated } from "../src/views/comparisons";
import { sendingText } from "../src/views/hooks";
import { answersOf, answersText, latencyOf, latencyText } from "../src/views/performance_charts";
import { healthOf, type ProviderModel } from "../src/views/health";
import { type Budget, budgetText, oneOf, paceOf, PERIODS, savingText, type UsageLine, type UsageReport } from "../src/views/usage";
import type { Series } from "../src/charts/series";

const budget: Budget = {
  scope: "user",
  subject: "ada",
  subject_id: "1",
  period: "day",
  kind: "hard",
  set_by: "budget set",
  limit_usd: 10,
  spent_usd: 3,
  reserved_usd: 0,
  left_usd: 7,
  percent: 30,
  begins_anew: "2026-11-27T00:00:00+00:00",
};
const time = (text: string) => Date.parse(text);

test("a budget's pace is what it comes to when it renews", () => {
  assert.equal(paceOf(budget, time("2026-11-26T12:00:00Z")), 6);
  const month = { ...budget, period: "month" as const, begins_anew: "2026-12-01T00:00:00+00:00" };
  assert.equal(paceOf(month, time("2026-11-16T00:00:00Z")), 6);
  const march = { ...month, begins_anew: "2026-03-01T00:00:00+00:00" };
  assert.equal(paceOf(march, time("2026-02-15T00:00:00Z")), 6);
});

test("a pace is none while it is too early, or too late, to say", () => {
  assert.equal(paceOf(budget, time("2026-11-26T00:59:00Z")), null);
  assert.equal(paceOf({ ...budget, period: "month", begins_anew: "2026-12-01T00:00:00Z" }, time("2026-11-01T23:00:00Z")), null);
  assert.equal(paceOf(budget, time("2026-11-27T00:00:01Z")), null);
  assert.equal(paceOf({ ...budget, begins_anew: null }, time("2026-11-26T12:00:00Z")), null);
});

test("a budget is told in a sentence", () => {
  assert.equal(budgetText(budget, 6), "$3.00 of $10.00 spent, 30%; at this pace $6.00 when it renews");
  assert.equal(budgetText(budget, null), "$3.00 of $10.00 spent, 30%");
});

test("savings are told against the baseline, whichever way they go", () => {
  const told = (savings_usd: number | null, baseline_cost_usd: number | null) =>
    savingText({ savings_usd, baseline_cost_usd, baseline_model: "gpt-5" } as UsageReport);
  assert.equal(told(3, 12), "25% less than with gpt-5 alone");
  assert.equal(told(-3, 12), "25% more than with gpt-5 alone");
  assert.equal(told(0, 0), "Nothing was answered yet to compare with gpt-5 alone");
  assert.equal(told(null, null), "No model with a known price is configured to compare with");
});

test("what is no option is the first one", () => {
  assert.equal(oneOf("month", PERIODS), "month");
  assert.equal(oneOf("decade", PERIODS), "day");
  assert.equal(oneOf(undefined, PERIODS, "week"), "week");
});

const of = (group: string, p50_ms: (number | null)[], p95_ms: (number | null)[]) => ({
  group, p50_ms, p95_ms, p99_ms: p95_ms, attempts: [4, 0], completed: [3, 0],
  tasks: [4, 0], fallbacks: [0, 0], hedges: [0, 0], tokens_in: [0, 0], tokens_out: [0, 0], cost_usd: [0, 0],
});
const series: Series = { step: "day", at: ["2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"], groups: [of("groq", [10, 20], [90, null]), of("openai", [30, 40], [300, 400])] };
const line = (group: string) => ({ group, p50_ms: 15, p95_ms: 77, p99_ms: 99 }) as UsageLine;

test("latency is one percentile of each group, as the API gave it", () => {
  const { of: plotted, whole } = latencyOf(series, "p95_ms");
  assert.deepEqual(plotted.traces.map(({ name, values }) => [name, values]), [["groq", [90, null]], ["openai", [300, 400]]]);
  assert.equal(whole("groq", line), 77);
  assert.equal(latencyText(plotted), "Of answers; the slowest was openai on Thu, Nov 26, 400 ms.");
});

test("or all percentiles of one group", () => {
  const { of: plotted, whole } = latencyOf(series, "of openai");
  assert.deepEqual(plotted.traces.map(({ name, values }) => [name, values]), [["p50", [30, 40]], ["p95", [300, 400]], ["p99", [300, 400]]]);
  assert.deepEqual(["p50", "p95", "p99"].map((name) => whole(name, line)), [15, 77, 99]);
});

test("where nothing answered there is no slowest", () => {
  assert.equal(latencyText({ ...latencyOf(series, "p95_ms").of, traces: [] }), "No answer in this time.");
});

test("answered calls are shares of calls, none where there was no call", () => {
  assert.deepEqual(answersOf(series).traces[0]!.values, [0.75, null]);
  assert.equal(answersText(series), "6 of 8 calls were answered, 75.0%.");
});

test("a provider is as its models are", () => {
  const model = (state: string) => ({ breaker: { state } }) as ProviderModel;
  assert.equal(healthOf([model("closed"), model("closed")])[2], "All models up");
  assert.equal(healthOf([model("closed"), model("open")])[2], "1 of 2 models held off");
  assert.equal(healthOf([model("half_open"), model("open")])[2], "No model is up");
});

test("alerts that nobody has seen come first, then critical ones, then the newest", () => {
  const alert = (id: string, severity: string, opened_at: string, acknowledged_at: string | null = null) => ({ id, severity, opened_at, acknowledged_at }) as Alert;
  const alerts = [alert("seen", "critical", "2026-11-26", "2026-11-26"), alert("old", "warning", "2026-11-24"), alert("new", "warning", "2026-11-25"), alert("bad", "critical", "2026-11-20")];
  assert.deepEqual(inOrder(alerts).map(({ id }) => id), ["bad", "new", "old", "seen"]);
});

test("an alert is named by its kind and subject, or by a subject that says it all", () => {
  assert.equal(titleOf({ subject: "openai/gpt-5" } as Alert, "Latency"), "Latency: openai/gpt-5");
  assert.equal(titleOf({ subject: "budget of user ada per day" } as Alert, undefined), "Budget of user ada per day");
});

const entry = (task: string, status: string, rating: number | null) => ({ task, status, rating, model: task }) as Entry;

test("only answers can be rated", () => {
  const entries = [entry("a", "completed", null), entry("b", "completed", 3), entry("c", "failed", null), entry("d", "in_progress", null)];
  assert.deepEqual(unrated(entries).map(({ task }) => task), ["a"]);
});

test("the best is one alone, of at least two", () => {
  assert.equal(least([3, 1, null]), 1);
  assert.equal(least([1, 1]), null);
  assert.equal(least([1, null]), null);
});

test("what came of a sending is told in words", () => {
  assert.equal(sendingText({ at: "", status: 200, error: null, ms: 83 }), "Answered 200, after 83 ms");
  assert.equal(sendingText({ at: "", status: null, error: "it did not answer in time.", ms: 10_000 }), "It did not answer in time, after 10.0 s");
  assert.equal(sendingText({ at: "", status: null, error: null, ms: null }), "No answer");
});
