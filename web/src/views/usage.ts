// What /api/usage and /api/budgets answer, and the choices that go with them. Pure.

import { money } from "../format";

export interface UsageLine {
  group: string;
  tasks: number;
  attempts: number;
  completed: number;
  success: number;
  fallbacks: number;
  hedges: number;
  tokens_in: number;
  tokens_out: number;
  cost_usd: number;
  baseline_cost_usd: number | null;
  savings_usd: number | null;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
}

export interface UsageReport {
  since: string;
  until: string;
  groups: UsageLine[];
  cost_usd: number;
  answers_cost_usd: number;
  baseline_model: string | null;
  baseline_cost_usd: number | null;
  savings_usd: number | null;
  projection: { month_to_date_usd: number; month_end_usd: number | null; basis_days: number };
}

export interface Budget {
  scope: "organisation" | "user" | "agent";
  subject: string;
  subject_id: string;
  period: "day" | "month";
  kind: "hard" | "soft";
  set_by: string;
  limit_usd: number;
  spent_usd: number;
  reserved_usd: number;
  left_usd: number;
  percent: number;
  begins_anew: string | null;
}

export const PERIODS = [
  ["day", "Last 24 hours"],
  ["week", "Last 7 days"],
  ["month", "Last 30 days"],
  ["quarter", "Last 90 days"],
] as const;

export const GROUPS = [
  ["provider", "By provider"],
  ["model", "By model"],
  ["agent", "By agent"],
  ["user", "By user"],
  ["task_type", "By task type"],
] as const;

/** The value if it is one of the options, else the first of them. */
export function oneOf(value: string | undefined, options: readonly (readonly [string, string])[], otherwise = options[0]![0]): string {
  return options.some(([option]) => option === value) ? value! : otherwise;
}

/** "Saved $3.10 (20%) against gpt-5 alone", of answers that cost so much and would have cost so much. */
export function savingText({ savings_usd, baseline_cost_usd, baseline_model }: UsageReport): string {
  if (savings_usd === null || baseline_cost_usd === null) return "No model with a known price is configured to compare with";
  if (baseline_cost_usd === 0) return `Nothing was answered yet to compare with ${baseline_model} alone`;
  const share = Math.round((Math.abs(savings_usd) / baseline_cost_usd) * 100);
  return savings_usd >= 0 ? `${share}% less than with ${baseline_model} alone` : `${share}% more than with ${baseline_model} alone`;
}

const SOONEST = { day: 3_600_000, month: 86_400_000 };

/**
 * What will be spent when the budget renews if it goes on as it did since the period began. Null where that is too
 * early to say: in the first hour of a day, in the first day of a month.
 */
export function paceOf({ period, spent_usd, begins_anew }: Budget, now: number): number | null {
  if (!begins_anew) return null;
  const end = Date.parse(begins_anew);
  const begin = beginning(end, period);
  const passed = now - begin;
  if (passed < SOONEST[period] || now > end) return null;
  return (spent_usd * (end - begin)) / passed;
}

function beginning(end: number, period: Budget["period"]): number {
  const at = new Date(end);
  if (period === "day") at.setUTCDate(at.getUTCDate() - 1);
  else at.setUTCMonth(at.getUTCMonth() - 1);
  return at.getTime();
}

/** How the budget stands, in a sentence. */
export function budgetText(budget: Budget, pace: number | null): string {
  const spent = `${money(budget.spent_usd)} of ${money(budget.limit_usd)} spent, ${Math.round(budget.percent)}%`;
  return pace === null ? spent : `${spent}; at this pace ${money(pace)} when it renews`;
}
