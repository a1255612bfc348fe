// Numbers, money and times as people read them.

const NUMBER = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const EXACT = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "long" });
const CLOCK = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat("en", { year: "numeric", month: "short", day: "numeric" });
export const NONE = "–";

export function count(value: number | null | undefined): string {
  return value == null ? NONE : NUMBER.format(value);
}

/** 1234567 as 1.2M. */
export function short(value: number | null | undefined): string {
  if (value == null) return NONE;
  return value < 10_000 ? NUMBER.format(value) : COMPACT.format(value);
}

/** Dollars with as many places as it takes to see them: $12.30, $0.0421, $0.000034. */
export function money(usd: number | null | undefined): string {
  if (usd == null) return NONE;
  if (usd === 0) return "$0";
  const size = Math.abs(usd);
  if (size < 0.000001) return usd < 0 ? ">-$0.000001" : "<$0.000001";
  const places = size >= 1 ? 2 : Math.min(6, 3 - Math.floor(Math.log10(size)) - 1);
  const text = size >= 1 ? NUMBER_2.format(size) : size.toFixed(Math.max(2, places)).replace(/(\.\d\d\d*?)0+$/, "$1");
  return `${usd < 0 ? "-" : ""}$${text}`;
}
const NUMBER_2 = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** A share from 0 to 1 as 12.3 %. */
export function percent(share: number | null | undefined, places = 0): string {
  return share == null ? NONE : `${(share * 100).toFixed(places)}%`;
}

export function duration(milliseconds: number | null | undefined): string {
  if (milliseconds == null) return NONE;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How long ago, or from now: "just now", "5 min ago", "in 2 h"; beyond a week the day. */
export function ago(at: string, now: number): string {
  const seconds = Math.round((now - Date.parse(at)) / 1000);
  const size = Math.abs(seconds);
  if (size < 5) return "just now";
  const text =
    size < 60 ? `${size} s` : size < 3600 ? `${Math.floor(size / 60)} min` : size < 86_400 ? `${Math.floor(size / 3600)} h` : `${Math.floor(size / 86_400)} d`;
  if (size >= 7 * 86_400) return DAY.format(new Date(at));
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

export function exact(at: string): string {
  return EXACT.format(new Date(at));
}

export function clock(at: string): string {
  return CLOCK.format(new Date(at));
}

/** "awaiting_approval" as "Awaiting approval". */
export function words(name: string | null | undefined): string {
  if (!name) return NONE;
  return sentence(name.replace(/[_-]/g, " "));
}

/** With a capital at its begin. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** An answer as text: what is no text is written as JSON. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
