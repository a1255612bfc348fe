// What can be done to tasks and runs.

import type { Action } from "./backend";

export interface NewTask {
  prompt: string;
  agent: string;
  priority: string;
  task_type: string | null;
  max_cost_usd: number | null;
  /** The same key again is the same task: a form that is sent twice makes one. */
  key: string;
}

export interface Decision {
  run: string;
  step: string;
  approve: boolean;
  comment: string | null;
}

const at = (kind: string, id: string, what: string) => `/api/${kind}/${encodeURIComponent(id)}/${what}`;

export const SUBMIT: Action<NewTask> = {
  name: "submit a task",
  rest: ({ key, ...body }) => ({ method: "POST", path: "/api/tasks", body, key }),
  tool: ({ key, ...given }) => ({ name: "task_submit", arguments: { ...given, idempotency_key: key, wait_seconds: 0 } }),
};

export const CANCEL_TASK: Action<string> = {
  name: "cancel a task",
  rest: (id) => ({ method: "POST", path: at("tasks", id, "cancel") }),
  tool: (id) => ({ name: "task_cancel", arguments: { id } }),
};

export const RETRY_TASK: Action<string> = {
  name: "retry a task",
  rest: (id) => ({ method: "POST", path: at("tasks", id, "retry") }),
  tool: (id) => ({ name: "task_retry", arguments: { id, wait_seconds: 0 } }),
};

export const RATE: Action<{ id: string; rating: number }> = {
  name: "rate an answer",
  rest: ({ id, rating }) => ({ method: "POST", path: at("tasks", id, "rate"), body: { rating } }),
  tool: (given) => ({ name: "task_rate", arguments: given }),
};

export const CANCEL_RUN: Action<string> = {
  name: "cancel a run",
  rest: (id) => ({ method: "POST", path: at("runs", id, "cancel") }),
  tool: (id) => ({ name: "task_cancel", arguments: { id } }),
};

export const RETRY_RUN: Action<string> = {
  name: "retry a run",
  rest: (id) => ({ method: "POST", path: at("runs", id, "retry"), body: {} }),
  tool: (run) => ({ name: "workflow_retry", arguments: { run, wait_seconds: 0 } }),
};

export const DECIDE: Action<Decision> = {
  name: "decide",
  rest: ({ run, step, approve, comment }) => ({
    method: "POST",
    path: at("runs", run, `steps/${encodeURIComponent(step)}/decision`),
    body: { approve, comment },
  }),
  tool: (given) => ({ name: "workflow_decide", arguments: given }),
};

/** A new key. Pages that came over plain http have no randomUUID. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
