// The page at /dashboard: REST by fetch, with the token of whoever signed in.

import { type Action, type Backend, type Json, Refusal, refusalIn, SIGNED_OUT, UNREACHED, withQuery } from "./backend";
import { ofTab } from "./storage";

const TOKEN = "vel-tutor.token";
const REFRESH = "vel-tutor.refresh";
/** What is answered where the refresh token is not good. */
const REFUSED = new Set([400, 401]);
const NO_WORD: Record<number, string> = {
  413: "What was sent is too large for the server; send less.",
  429: "That was asked too often; the server takes so much in a minute; wait a little and try again.",
  502: "The server cannot be reached; the proxy before it says so; try again in a moment.",
  504: "The answer took too long; the proxy before the server gave up; try again.",
};

export class BrowserBackend implements Backend {
  readonly home = "browser" as const;
  private refreshing: Promise<boolean> | null = null;

  get signedIn(): boolean {
    return ofTab.read(TOKEN) !== null;
  }

  async get(path: string, query = {}, signal?: AbortSignal): Promise<Json> {
    return this.ask("GET", withQuery(path, query), signal ? { signal } : {});
  }

  async act<Args>(action: Action<Args>, args: Args): Promise<Json> {
    const { method, path, body, key } = action.rest(args);
    return this.ask(method, path, sent(body, key));
  }

  async signIn(email: string, password: string): Promise<void> {
    this.keep(await answered(await reached("/api/auth/login", { method: "POST", ...sent({ email, password }) })));
  }

  useToken(token: string): void {
    this.keep({ token });
  }

  async signOut(): Promise<void> {
    try {
      await this.ask("POST", "/api/auth/logout", {});
    } catch {
      // It is gone from here; at the server it ends by itself.
    }
    this.keep({});
  }

  /** A file, saved under this name: what a link cannot ask for, since links send no token. */
  async save(path: string, name: string): Promise<void> {
    const response = await this.send("GET", path, {});
    if (!response.ok) await answered(response);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  private async ask(method: string, path: string, options: RequestInit): Promise<Json> {
    return answered(await this.send(method, path, options));
  }

  private async send(method: string, path: string, options: RequestInit): Promise<Response> {
    const send = () => reached(path, { ...options, method, headers: { ...options.headers, ...this.bearer() } });
    const used = ofTab.read(TOKEN);
    const response = await send();
    if (response.status !== 401) return response;
    if (ofTab.read(TOKEN) !== used || (await this.refreshed())) return send();
    this.keep({});
    return response;
  }

  private bearer(): Record<string, string> {
    const token = ofTab.read(TOKEN);
    return token ? { authorization: `Bearer ${token}` } : {};
  }

  /** A new pair of tokens, if there is a refresh token that is good. Asked for once by all who need it. Raises Refusal. */
  private refreshed(): Promise<boolean> {
    this.refreshing ??= this.refresh().finally(() => (this.refreshing = null));
    return this.refreshing;
  }

  private async refresh(): Promise<boolean> {
    const refresh_token = ofTab.read(REFRESH);
    if (!refresh_token) return false;
    const response = await reached("/api/auth/refresh", { method: "POST", ...sent({ refresh_token }) });
    if (REFUSED.has(response.status)) return false;
    // Whatever else is answered, such as that the server is away, says nothing against the token.
    this.keep(await answered(response));
    return true;
  }

  private keep(pair: { token?: string; refresh_token?: string }): void {
    ofTab.write(TOKEN, pair.token ?? null);
    ofTab.write(REFRESH, pair.refresh_token ?? null);
  }
}

function sent(body: Json, key?: string): RequestInit {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (key) headers["idempotency-key"] = key;
  return body === undefined ? {} : { headers, body: JSON.stringify(body) };
}

async function reached(path: string, options: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { ...options, cache: "no-store", credentials: "omit" });
  } catch (problem) {
    if (options.signal?.aborted) throw problem;
    throw new Refusal(UNREACHED, "The server cannot be reached; it may be restarting, or the network is down; this page tries again.");
  }
}

async function answered(response: Response): Promise<Json> {
  if (response.status === 204) return null;
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  throw refusalIn(body) ?? new Refusal(response.status === 401 ? SIGNED_OUT : String(response.status), wordFor(response));
}

function wordFor(response: Response): string {
  return NO_WORD[response.status] ?? `The server answered ${response.status} and said no more; try again.`;
}
