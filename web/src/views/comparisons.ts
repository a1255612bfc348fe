// What the API answers about comparisons, and what stands out in one. Pure.

import type { Fault } from "../shapes";

export interface Entry {
  label: string;
  /** Null, as are its numbers, while names are hidden. */
  model: string | null;
  task: string;
  status: string;
  output: unknown;
  partial: boolean;
  cost_usd: number | null;
  total_ms: number | null;
  first_token_ms: number | null;
  tokens_out: number | null;
  /** One's own. */
  rating: number | null;
  error: Fault | null;
}

export interface Comparison {
  id: string;
  prompt: string;
  agent: string;
  task_type: string | null;
  created_at: string;
  status: string;
  models: string[];
  cost_usd: number | null;
  /** Names are hidden now. */
  blind: boolean;
  entries: Entry[];
}

export interface ComparisonRow {
  id: string;
  prompt: string;
  task_type: string | null;
  created_at: string;
  status: string;
  models: string[];
  answered: number;
  rated: number;
  cost_usd: number | null;
}

export interface Standing {
  model: string;
  asked: number;
  answers: number;
  ratings: number;
  mean_rating: number | null;
  mean_cost_usd: number | null;
  median_ms: number | null;
}

export interface Pair {
  a: string;
  b: string;
  prompts: number;
  /** Null where there are too few prompts to be tested. */
  p_adjusted: number | null;
  significant: boolean;
  verdict: string;
}

export interface Standings {
  models: Standing[];
  pairs: Pair[];
  test: string;
  alpha: number;
  comparisons: number;
  only_the_newest: boolean;
}

export const FEWEST_MODELS = 2;
export const MOST_MODELS = 5;

/** Answers that a person can rate and has not. */
export function unrated(entries: readonly Entry[]): Entry[] {
  return entries.filter(({ status, rating }) => status === "completed" && rating === null);
}

/** Which of the answers was best in something: the index of the least value, null where nothing can be told. */
export function least(values: readonly (number | null)[]): number | null {
  const known = values.flatMap((value, index) => (value === null ? [] : [{ value, index }]));
  if (known.length < 2) return null;
  const first = known.reduce((best, one) => (one.value < best.value ? one : best));
  return known.filter(({ value }) => value === first.value).length === 1 ? first.index : null;
}
