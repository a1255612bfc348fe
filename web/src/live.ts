// Which areas of what one sees have changed: /api/changes is asked again and again, and whoever shows an area hears of it.

import { type Backend, Refusal, SIGNED_OUT } from "./backend";

export type Area = "tasks" | "runs" | "approvals" | "usage" | "audit" | "alerts" | "comparisons" | "webhooks";

const PAUSE_MILLISECONDS = 2000;
// After a change: however much happens, a page asks no more than this, for it is counted (docs/rest.md, Limits).
const REST_MILLISECONDS = 700;
const LONGEST_PAUSE = 10_000;
// A browser waits at the server. Through a host each call may hold up the next one: there it is asked every 2 s.
const WAIT_SECONDS = { browser: 20, app: 0 };
const ALL: readonly Area[] = ["tasks", "runs", "approvals", "usage", "audit", "alerts", "comparisons", "webhooks"];

type Listener = (areas: ReadonlySet<Area>) => void;

export class Live {
  private readonly listeners = new Set<Listener>();
  private stop: AbortController | null = null;

  constructor(
    private readonly backend: Backend,
    private readonly signedOut: () => void,
  ) {}

  hear(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Tell at once, as after an action of one's own. */
  changed(...areas: Area[]): void {
    const told = new Set(areas);
    for (const listener of [...this.listeners]) listener(told);
  }

  start(): void {
    this.end();
    this.stop = new AbortController();
    void this.watch(this.stop.signal);
  }

  end(): void {
    this.stop?.abort();
    this.stop = null;
  }

  private async watch(signal: AbortSignal): Promise<void> {
    let stamp: string | undefined;
    let pause = 0;
    let failed = false;
    while (!signal.aborted) {
      await seen(signal);
      try {
        const answer = await this.ask(stamp, signal);
        // The first stamp tells from where on; what is shown then was read about now. After a failure all may be old.
        if ((failed || stamp !== undefined) && !signal.aborted) this.changed(...(failed ? ALL : answer.changed));
        failed = false;
        pause = this.backend.home === "browser" ? REST_MILLISECONDS : PAUSE_MILLISECONDS;
        stamp = answer.stamp;
      } catch (problem) {
        if (problem instanceof Refusal && problem.code === SIGNED_OUT && !signal.aborted) return this.signedOut();
        failed = true;
        pause = Math.min(Math.max(pause * 2, PAUSE_MILLISECONDS), LONGEST_PAUSE);
      }
      await elapsed(pause, signal);
    }
  }

  private ask(since: string | undefined, signal: AbortSignal): Promise<{ stamp: string; changed: Area[] }> {
    const wait_seconds = since === undefined ? 0 : WAIT_SECONDS[this.backend.home];
    return this.backend.get("/api/changes", { since, wait_seconds }, signal);
  }
}

/** Nobody looks at a hidden page: it waits until it is seen. */
function seen(signal: AbortSignal): Promise<void> {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => {
    const over = new AbortController();
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      over.abort();
      done();
    };
    document.addEventListener("visibilitychange", look, { signal: over.signal });
    signal.addEventListener("abort", look, { signal: over.signal });
  });
}

function elapsed(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}
