// Spans of time that lists are filtered by. (Pure.)

export const SPANS: Record<string, readonly [text: string, minutes: number]> = {
  "1h": ["Last hour", 60],
  "24h": ["Last 24 hours", 24 * 60],
  "7d": ["Last 7 days", 7 * 24 * 60],
  "30d": ["Last 30 days", 30 * 24 * 60],
};
export const BETWEEN = "between";
const MINUTE = 60_000;

/** What the query's `when`, `since` and `until` ask for. A span ends now, and begins at a whole minute. */
export function spanOf(query: Record<string, string>, now: number): { since?: string | undefined; until?: string | undefined } {
  if (query.when === BETWEEN) return { since: query.since, until: query.until };
  const minutes = SPANS[query.when ?? ""]?.[1];
  return minutes ? { since: new Date((Math.floor(now / MINUTE) - minutes) * MINUTE).toISOString() } : {};
}

/** When a day begins where the reader is, or with `end` when it is over. */
export function momentOf(day: string, end: boolean): string | null {
  const at = new Date(`${day}T00:00:00`);
  if (Number.isNaN(at.getTime())) return null;
  if (end) at.setDate(at.getDate() + 1);
  return at.toISOString();
}

export function dayOf(moment: string, end: boolean): string {
  const at = new Date(Date.parse(moment) - (end ? 1 : 0));
  const two = (number: number) => String(number).padStart(2, "0");
  return Number.isNaN(at.getTime()) ? "" : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}
