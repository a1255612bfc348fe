// The views: where each is in the navigation, what it needs, and what draws it.

import type { ComponentType } from "preact";
import type { IconName } from "./components/icons";
import type { Route } from "./route";
import { Alerts } from "./views/alerts";
import { Approvals } from "./views/approvals";
import { Audit } from "./views/audit";
import { Compare } from "./views/compare";
import { Comparison } from "./views/comparison";
import { Costs } from "./views/costs";
import { Performance } from "./views/performance";
import { Run } from "./views/run";
import { Runs } from "./views/runs";
import { Task } from "./views/task";
import { Tasks } from "./views/tasks";
import { Webhook } from "./views/webhook";
import { Webhooks } from "./views/webhooks";

export interface ViewProps {
  route: Route;
}

export interface View {
  /** Its place in the address. */
  path: string;
  title: string;
  icon: IconName;
  group: "Work" | "Insight" | "Watch";
  /** The operation that a role needs to see it. */
  operation: string;
  draw: ComponentType<ViewProps>;
  /** What draws one of its things, where these have views of their own. */
  drawOne?: ComponentType<ViewProps>;
}

export const VIEWS: readonly View[] = [
  { path: "tasks", title: "Tasks", icon: "tasks", group: "Work", operation: "task_read", draw: Tasks, drawOne: Task },
  { path: "runs", title: "Runs", icon: "runs", group: "Work", operation: "run_read", draw: Runs, drawOne: Run },
  { path: "approvals", title: "Approvals", icon: "approvals", group: "Work", operation: "run_change", draw: Approvals },
  { path: "costs", title: "Costs", icon: "costs", group: "Insight", operation: "usage_read", draw: Costs },
  { path: "performance", title: "Performance", icon: "performance", group: "Insight", operation: "usage_read", draw: Performance },
  { path: "compare", title: "Compare", icon: "compare", group: "Insight", operation: "task_read", draw: Compare, drawOne: Comparison },
  { path: "alerts", title: "Alerts", icon: "alerts", group: "Watch", operation: "alert_read", draw: Alerts },
  { path: "audit", title: "Audit", icon: "audit", group: "Watch", operation: "audit_read", draw: Audit },
  { path: "webhooks", title: "Webhooks", icon: "webhooks", group: "Watch", operation: "webhook_read", draw: Webhooks, drawOne: Webhook },
];

export const START = "tasks";
