import assert from "node:assert/strict";
import { test } from "node:test";
import { hashOf, routeOf } from "../src/address.ts";
import { barsOf } from "../src/views/attempts.tsx";
import { dayOf, momentOf, spanOf } from "../src/span.ts";
import { wordsOf } from "../src/views/verdict.tsx";

const NOW = Date.parse("2026-11-26T12:00:30Z");

test("an address is read as it was written", () => {
  for (const [view, id, query] of [
    ["tasks", null, {}],
    ["tasks", "an id/with %", {}],
    ["audit", null, { subject: "task:1&2", when: "7d" }],
  ] as const) {
    assert.deepEqual(routeOf(hashOf(view, id, query)), { view, id, query });
  }
});

test("an address that nobody wrote leads somewhere all the same", () => {
  for (const hash of ["", "#", "#/", "#//", "#/tasks/%E0%A4%A", "#?a=b", "no hash"]) assert.equal(typeof routeOf(hash).view, "string");
});

test("empty values stay out of an address", () => {
  assert.equal(hashOf("tasks", null, { status: "", query: null, offset: undefined, limit: 0 }), "#/tasks?limit=0");
});

test("a span of the last hours begins at a whole minute", () => {
  assert.deepEqual(spanOf({ when: "1h" }, NOW), { since: "2026-11-26T11:00:00.000Z" });
  assert.deepEqual(spanOf({ when: "between", since: "a", until: "b" }, NOW), { since: "a", until: "b" });
  assert.deepEqual(spanOf({ when: "nonsense" }, NOW), {});
  assert.deepEqual(spanOf({}, NOW), {});
});

test("a day is told as its own moments and back, the last one whole", () => {
  assert.equal(dayOf(momentOf("2026-11-26", false)!, false), "2026-11-26");
  assert.equal(dayOf(momentOf("2026-11-26", true)!, true), "2026-11-26");
  assert.equal(Date.parse(momentOf("2026-11-26", true)!) - Date.parse(momentOf("2026-11-26", false)!), 24 * 3600 * 1000);
  assert.equal(momentOf("nonsense", false), null);
});

const CALL = { provider: "p", model: "m", outcome: "completed", error: null, tokens_in: 1, tokens_out: 1, cost_usd: 0 };

test("calls lie on one line of time, each as long as it took", () => {
  const first = { ...CALL, started_at: "2026-11-26T12:00:00.000Z", first_token_ms: null, total_ms: 1000 };
  const second = { ...CALL, started_at: "2026-11-26T12:00:01.000Z", first_token_ms: 500, total_ms: 1000 };
  assert.deepEqual(barsOf([first, second], first.started_at, NOW), [
    { from: 0, width: 50, first: null },
    { from: 50, width: 50, first: 75 },
  ]);
});

test("a call that has not ended lasts until now", () => {
  const open = { ...CALL, outcome: "open", started_at: "2026-11-26T12:00:20.000Z", first_token_ms: null, total_ms: null };
  assert.deepEqual(barsOf([open], "2026-11-26T12:00:10.000Z", NOW), [{ from: 50, width: 50, first: null }]);
});

test("a verdict is told in plain words", () => {
  const verdict = { entries: 3, first: 1, last: 3, signed_through: 3, keys: [], proof: "" };
  assert.match(wordsOf({ ...verdict, ok: true, fault: null }), /^The chain holds: 3 entries/);
  assert.equal(wordsOf({ ...verdict, ok: true, entries: 0, fault: null }), "The trail has no entries yet.");
  const fault = { sequence: 4, message: "its hash does not fit" };
  assert.equal(wordsOf({ ...verdict, ok: false, fault }), "The chain is broken at entry 4: its hash does not fit. Up to entry 3 it holds.");
});
