// The page inside an MCP host: the same answers of REST through the tool dashboard_data, changes through the tools.

import { type Action, type Backend, type Json, Refusal, refusalIn, withQuery } from "./backend";
import type { Bridge } from "./bridge";
import { followHost } from "./host";

const ELSEWHERE = "NOT_IN_APP";

export class AppBackend implements Backend {
  readonly home = "app" as const;

  constructor(private readonly bridge: Bridge) {}

  async get(path: string, query = {}): Promise<Json> {
    return this.call("dashboard_data", { path: withQuery(path, query) });
  }

  async act<Args>(action: Action<Args>, args: Args): Promise<Json> {
    if (!action.tool) throw new Refusal(ELSEWHERE, inBrowser(action.name));
    const { name, arguments: given } = action.tool(args);
    return this.call(name, given);
  }

  /** Ask for another room, such as "fullscreen"; the host decides. */
  async display(mode: string): Promise<void> {
    const given = await this.bridge.ask("ui/request-display-mode", { mode }).catch(() => null);
    if (typeof given?.mode === "string") followHost({ displayMode: given.mode });
  }

  private async call(name: string, given: Json): Promise<Json> {
    const result = await this.bridge.ask("tools/call", { name, arguments: given });
    if (result.isError) throw refusalIn(result.structuredContent) ?? new Refusal("TOOL", textOf(result));
    return result.structuredContent ?? null;
  }
}

export function inBrowser(what: string): string {
  return `To ${what}, open the dashboard in a browser: this client has no way to do it.`;
}

function textOf(result: Json): string {
  const parts: Json[] = Array.isArray(result.content) ? result.content : [];
  const text = parts.map((part) => (part.type === "text" ? part.text : "")).join(" ");
  return text.trim() || "The server refused and said no more; try again.";
}
