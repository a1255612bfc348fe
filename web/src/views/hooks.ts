// What can be done to webhooks, and what the API answers about them.

import type { Action } from "../backend";
import { duration } from "../format";

export interface Webhook {
  id: string;
  owner_id: string;
  url: string;
  events: string[];
  description: string | null;
  active: boolean;
  /** Why it was switched off, where nobody did so. */
  off_because?: string | null;
  created_at: string;
  last_delivery: { at: string; status: number | null; ok: boolean } | null;
}

export interface Sending {
  at: string;
  status: number | null;
  error: string | null;
  ms: number | null;
}

export interface Delivery {
  id: string;
  event: string;
  created_at: string;
  state: "waiting" | "delivered" | "failed";
  attempts: Sending[];
  next_at: string | null;
}

export interface WebhookFields {
  url: string;
  events: string[];
  description: string;
}

export const EVENTS = [
  ["task.completed", "A task has its answer"],
  ["task.failed", "A task has failed"],
  ["run.awaiting_approval", "A run waits for a decision"],
  ["run.completed", "A run is through"],
  ["run.failed", "A run has failed"],
  ["budget.threshold", "A budget is 80% or 100% spent"],
  ["alert.raised", "An alert has opened"],
] as const;

const at = (id: string, what = "") => `/api/webhooks/${encodeURIComponent(id)}${what}`;

export const ADD: Action<WebhookFields & { key: string }> = {
  name: "add a webhook",
  rest: ({ key, ...body }) => ({ method: "POST", path: "/api/webhooks", body, key }),
};

export const CHANGE: Action<{ id: string } & Partial<WebhookFields & { active: boolean }>> = {
  name: "change a webhook",
  rest: ({ id, ...body }) => ({ method: "PUT", path: at(id), body }),
};

export const DELETE: Action<string> = {
  name: "delete a webhook",
  rest: (id) => ({ method: "DELETE", path: at(id) }),
};

export const TEST: Action<string> = {
  name: "test a webhook",
  rest: (id) => ({ method: "POST", path: at(id, "/test") }),
};

export const ROTATE: Action<string> = {
  name: "renew the secret of a webhook",
  rest: (id) => ({ method: "POST", path: at(id, "/secret") }),
};

export const RESEND: Action<{ id: string; delivery: string }> = {
  name: "send a delivery again",
  rest: ({ id, delivery }) => ({ method: "POST", path: at(id, `/deliveries/${encodeURIComponent(delivery)}/resend`) }),
};

/** What came of one sending, in words. */
export function sendingText({ status, error, ms }: Sending): string {
  const came = error ? error.charAt(0).toUpperCase() + error.slice(1).replace(/\.$/, "") : status === null ? "No answer" : `Answered ${status}`;
  return ms === null ? came : `${came}, after ${duration(ms)}`;
}
