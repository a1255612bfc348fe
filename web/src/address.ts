// Places in the page as text: "#/tasks/some-id?status=failed". (Pure.)

import { type Query, withQuery } from "./backend";

export interface Route {
  /** "tasks", or "" at the start. */
  view: string;
  id: string | null;
  query: Record<string, string>;
}

export function routeOf(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const [view = "", id] = path.split("/");
  return { view, id: id ? decoded(id) : null, query: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function hashOf(view: string, id?: string | null, query: Query = {}): string {
  return withQuery(`#/${view}${id ? `/${encodeURIComponent(id)}` : ""}`, query);
}
