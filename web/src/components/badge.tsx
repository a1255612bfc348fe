// How something stands: a word, a shape and a colour, so that the colour is never needed.

import type { JSX } from "preact";
import { words } from "../format";
import { Icon, type IconName } from "./icons";

export type Tone = "neutral" | "info" | "good" | "warn" | "bad";

const STANDINGS: Record<string, [Tone, IconName]> = {
  pending: ["neutral", "clock"],
  waiting: ["neutral", "clock"],
  in_progress: ["info", "half"],
  running: ["info", "half"],
  awaiting_approval: ["warn", "hand"],
  completed: ["good", "check"],
  failed: ["bad", "cross"],
  cancelled: ["neutral", "stop"],
  skipped: ["neutral", "skip"],
  cut: ["warn", "stop"],
  open: ["info", "half"],
};

export function standing(status: string): { tone: Tone; icon: IconName } {
  const [tone, icon] = STANDINGS[status] ?? ["neutral", "dot"];
  return { tone, icon };
}

export function Badge({ tone, icon, children }: { tone: Tone; icon: IconName; children: string }): JSX.Element {
  return (
    <span class={`badge ${tone}`}>
      <Icon name={icon} />
      {children}
    </span>
  );
}

/** The status of a task, a run, a step or an attempt. */
export function Status({ of }: { of: string }): JSX.Element {
  const { tone, icon } = standing(of);
  return (
    <Badge tone={tone} icon={icon}>
      {words(of)}
    </Badge>
  );
}
