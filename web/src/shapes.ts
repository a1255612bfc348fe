// What the API answers, as far as views read it.

import type { Meta } from "./components/pager";

export interface Listed<Row> {
  data: Row[];
  meta: Meta;
}

export interface Fault {
  code: string;
  message: string;
}

export interface TaskRow {
  id: string;
  status: string;
  agent: string;
  task_type: string | null;
  priority: string;
  prompt: string;
  provider: string | null;
  model: string | null;
  error: Fault | null;
  created_at: string;
  updated_at: string;
  run?: string;
  step?: string;
  cost_usd?: number | null;
  total_ms?: number | null;
  attempts?: number;
}

export interface Attempt {
  provider: string;
  model: string;
  outcome: string;
  error: string | null;
  tokens_in: number | null;
  tokens_out: number | null;
  cost_usd: number | null;
  first_token_ms: number | null;
  total_ms: number | null;
  started_at: string;
}

export interface Candidate {
  provider: string;
  model: string;
  p_ok: number;
  evidence: number;
  p_up: number;
  expected_cost_usd: number | null;
  expected_latency_ms: number | null;
  utility: number;
}

export interface RouteDecision {
  task_type: string;
  confidence: number;
  policy: string;
  candidates: Candidate[];
  excluded: { provider: string; model: string; reason: string }[];
  reasons: string[];
  explored: boolean;
}

export interface Happening {
  at: string;
  kind: string;
  message: string;
  percent: number | null;
  step?: string | null;
}

export interface TaskWhole extends Omit<TaskRow, "attempts"> {
  output: unknown;
  partial: boolean;
  cost_usd: number;
  tokens_in: number;
  tokens_out: number;
  parameters: Record<string, unknown>;
  timing: { queued_ms: number | null; first_token_ms: number | null; total_ms: number | null };
  attempts: Attempt[];
  decision: RouteDecision | null;
  history: Happening[];
}

export interface RunRow {
  id: string;
  status: string;
  workflow: string;
  version: number;
  error: Fault | null;
  created_at: string;
  updated_at: string;
  ended_at: string | null;
}

export interface Step {
  id: string;
  kind: string;
  status: string;
  needs?: string[];
  when?: unknown;
  output: unknown;
  error: Fault | null;
  started_at: string | null;
  due_at: string | null;
  ended_at: string | null;
  task?: string;
  task_ids?: string[];
  tasks?: Record<string, number>;
  items?: Record<string, string>;
}

export interface RunWhole extends RunRow {
  output: unknown;
  cost_usd: number;
  max_cost_usd: number | null;
  steps: Step[];
  inputs: Record<string, unknown>;
  history: Happening[];
}

export interface Approval {
  run: string;
  workflow: string;
  step: string;
  prompt: string | null;
  human: boolean;
  asked_at: string | null;
  due_at: string | null;
  on_timeout: string | null;
}

export interface AuditEntry {
  sequence: number;
  at: string;
  principal: string;
  action: string;
  subject: string;
  payload: Record<string, unknown>;
  hash: string;
}

export interface Verdict {
  ok: boolean;
  entries: number;
  first: number | null;
  last: number | null;
  signed_through: number | null;
  keys: string[];
  fault: { sequence?: number; message?: string; [name: string]: unknown } | null;
  proof: string;
}

export const OPEN = new Set(["pending", "in_progress", "awaiting_approval"]);
export const TASK_STATUSES = ["pending", "in_progress", "awaiting_approval", "completed", "failed", "cancelled"];
export const TASK_TYPES = ["reasoning", "code_generation", "code_debug", "summarization", "extraction", "translation", "creative", "research", "general"];
export const PRIORITIES = ["low", "medium", "high"];
