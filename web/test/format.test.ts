import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, count, duration, money, percent, short, textOf, words } from "../src/format.ts";

const NOW = Date.parse("2026-11-26T12:00:00Z");
const before = (seconds: number) => ago(new Date(NOW - seconds * 1000).toISOString(), NOW);

const CASES: [string, (value: any) => string, [unknown, string][]][] = [
  ["money has as many places as it takes to see it", money, [
    [null, "–"], [0, "$0"], [0.0000001, "<$0.000001"], [0.000008, "$0.000008"], [0.0001378, "$0.000138"], [0.0421, "$0.0421"],
    [0.5, "$0.50"], [0.25, "$0.25"], [1, "$1.00"], [12.345, "$12.35"], [1234567.5, "$1,234,567.50"], [-0.25, "-$0.25"], [-3, "-$3.00"],
  ]],
  ["counts have their thousands parted", count, [[null, "–"], [0, "0"], [1234567, "1,234,567"]]],
  ["large counts are short", short, [[null, "–"], [9999, "9,999"], [12345, "12.3K"], [1234567, "1.2M"]]],
  ["durations have the unit that fits", duration, [
    [null, "–"], [0, "0 ms"], [999, "999 ms"], [1000, "1.00 s"], [12_340, "12.3 s"], [61_000, "1 min 1 s"], [3_600_000, "1 h 0 min"], [49 * 3_600_000, "2 d 1 h"],
  ]],
  ["times are told as how long ago", before, [
    [0, "just now"], [4, "just now"], [5, "5 s ago"], [59, "59 s ago"], [60, "1 min ago"], [3600, "1 h ago"], [86_400, "1 d ago"], [-120, "in 2 min"], [8 * 86_400, "Nov 18, 2026"],
  ]],
  ["shares are percents", percent, [[null, "–"], [0.123, "12%"], [1, "100%"]]],
  ["names are words", words, [[null, "–"], ["awaiting_approval", "Awaiting approval"], ["sign-off", "Sign off"]]],
  ["what is no text is JSON", textOf, [["<b>", "<b>"], [{ a: 1 }, '{\n  "a": 1\n}'], [null, "null"]]],
];

for (const [name, format, rows] of CASES) {
  test(name, () => {
    for (const [value, text] of rows) assert.equal(format(value), text);
  });
}
