// A time as how long ago it was; what it was exactly is its title. All of them move on together.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ago, exact, NONE } from "../format";

const TICK_MILLISECONDS = 10_000;
const listeners = new Set<() => void>();
let now = Date.now();

setInterval(() => {
  if (document.hidden) return;
  now = Date.now();
  for (const listener of [...listeners]) listener();
}, TICK_MILLISECONDS);

export function useNow(): number {
  const [, again] = useState(0);
  useEffect(() => {
    const listener = () => again((times) => times + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return now;
}

export function Ago({ at }: { at: string | null | undefined }): JSX.Element {
  const seen = useNow();
  if (!at) return <span class="faint">{NONE}</span>;
  return (
    <time dateTime={at} title={exact(at)}>
      {ago(at, Math.max(seen, Math.min(Date.now(), Date.parse(at))))}
    </time>
  );
}
