// What the page asks the server through: REST in a browser, tools inside an MCP host.

export type Json = any; // what the API answers; views read it as docs/rest.md and the OpenAPI document describe it
export type Query = Record<string, string | number | boolean | null | undefined>;

/** Something that changes things. `tool` is the product's tool of the same kind; undefined where there is none. */
export interface Action<Args> {
  name: string;
  rest: (args: Args) => { method: "POST" | "PUT" | "DELETE"; path: string; body?: Json; key?: string };
  tool?: (args: Args) => { name: string; arguments: Json };
}

export interface Backend {
  home: "browser" | "app";
  /** The answer of a GET of REST. Raises Refusal. */
  get: (path: string, query?: Query, signal?: AbortSignal) => Promise<Json>;
  /** What was answered, or null where nothing was. Raises Refusal. */
  act: <Args>(action: Action<Args>, args: Args) => Promise<Json>;
}

/** The server, or the way to it, says no: the message is a sentence for people. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly details: { field: string; message: string }[] = [],
  ) {
    super(message);
  }
}

export const SIGNED_OUT = "AUTHENTICATION_REQUIRED";
export const FORBIDDEN = "UNAUTHORIZED";
export const NOT_FOUND = "NOT_FOUND";
export const UNREACHED = "UNREACHED";

export function refusalIn(body: Json): Refusal | null {
  const error = body?.error;
  return typeof error?.message === "string" ? new Refusal(String(error.code), error.message, error.details ?? []) : null;
}

/** The path with those values of the query that there are. */
export function withQuery(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}
