// Providers as the API answers them, and how one is in a word. Pure.

import type { Tone } from "../components/badge";
import type { IconName } from "../components/icons";
import { plural } from "../format";

export interface Breaker {
  state: "closed" | "open" | "half_open";
  failures: number;
  opened_at: string | null;
  retry_at: string | null;
}

export interface ProviderModel {
  model: string;
  tier: string;
  retired: boolean;
  priced: boolean;
  breaker: Breaker;
  p_up: number;
  latency_ms: number;
}

export interface Provider {
  provider: string;
  configured: boolean;
  models: ProviderModel[];
}

/** The provider in a word: as its worst model is, where there is a difference. */
export function healthOf(models: ProviderModel[]): [Tone, IconName, string] {
  const down = models.filter(({ breaker }) => breaker.state !== "closed").length;
  if (down === 0) return ["good", "check", "All models up"];
  if (down === models.length) return ["bad", "stop", "No model is up"];
  return ["warn", "half", `${down} of ${plural(models.length, "model")} held off`];
}
