// JSON-RPC with the MCP host around this frame, over postMessage: the part of MCP Apps (2026-01-26) that the page needs.

import { type Json, Refusal, UNREACHED } from "./backend";

const PROTOCOL = "2026-01-26";
const GREETING_MILLISECONDS = 15_000;
const CALL_MILLISECONDS = 90_000;
const METHOD_NOT_FOUND = -32601;

export interface HostContext {
  theme?: "light" | "dark";
  styles?: { variables?: Record<string, string | undefined> };
  displayMode?: string;
  availableDisplayModes?: string[];
  containerDimensions?: { height?: number; maxHeight?: number; width?: number; maxWidth?: number };
  safeAreaInsets?: { top: number; right: number; bottom: number; left: number };
  [name: string]: unknown;
}

export interface Heard {
  context: (changed: HostContext) => void;
  /** What the tool that opened the page was asked, and then what it answered: both name a view. */
  shown: (place: Json) => void;
  /** The host is about to take the page away. */
  ending: () => void;
}

interface Waiting {
  done: (result: Json) => void;
  failed: (problem: Error) => void;
  timer: ReturnType<typeof setTimeout>;
}

export class Bridge {
  private last = 0;
  private readonly waiting = new Map<number, Waiting>();

  constructor(
    private readonly host: Window,
    private readonly heard: Heard,
  ) {
    window.addEventListener("message", (event) => {
      if (event.source === this.host && event.data?.jsonrpc === "2.0") this.hear(event.data);
    });
  }

  /** Greet the host; from then on it tells what it has to tell. */
  async open(version: string): Promise<void> {
    const params = {
      protocolVersion: PROTOCOL,
      appInfo: { name: "vel-tutor-dashboard", version },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    };
    const greeted = await this.ask("ui/initialize", params, GREETING_MILLISECONDS);
    this.heard.context(greeted.hostContext ?? {});
    this.tell("ui/notifications/initialized", {});
  }

  /** The answer of a request to the host. Raises Refusal. */
  ask(method: string, params: Json, milliseconds = CALL_MILLISECONDS): Promise<Json> {
    const id = ++this.last;
    return new Promise((done, failed) => {
      const late = () => this.settle(id, (waiting) => waiting.failed(unanswered(method)));
      this.waiting.set(id, { done, failed, timer: setTimeout(late, milliseconds) });
      this.post({ id, method, params });
    });
  }

  tell(method: string, params: Json): void {
    this.post({ method, params });
  }

  private hear(message: Json): void {
    if (typeof message.method === "string") this.asked(message);
    else if (message.error) this.settle(message.id, (waiting) => waiting.failed(refused(message.error)));
    else this.settle(message.id, (waiting) => waiting.done(message.result ?? {}));
  }

  private asked({ id, method, params }: Json): void {
    if (method === "ui/notifications/host-context-changed") this.heard.context(params ?? {});
    if (method === "ui/notifications/tool-input") this.heard.shown(params?.arguments);
    if (method === "ui/notifications/tool-result") this.heard.shown(params?.structuredContent);
    if (method === "ui/resource-teardown") this.heard.ending();
    if (id === undefined) return;
    if (method === "ping" || method === "ui/resource-teardown") this.post({ id, result: {} });
    else this.post({ id, error: { code: METHOD_NOT_FOUND, message: `The dashboard has no ${method}.` } });
  }

  private settle(id: number, how: (waiting: Waiting) => void): void {
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    this.waiting.delete(id);
    clearTimeout(waiting.timer);
    how(waiting);
  }

  private post(message: Json): void {
    this.host.postMessage({ jsonrpc: "2.0", ...message }, "*");
  }
}

function unanswered(method: string): Refusal {
  return new Refusal(UNREACHED, `The client around this page did not answer ${method}; it may be busy; try again.`);
}

function refused(error: Json): Refusal {
  return new Refusal(String(error.code ?? UNREACHED), String(error.message ?? "The client around this page refused."));
}
