// What the verification of the trail found, in plain words.

import type { JSX } from "preact";
import { Facts } from "../components/facts";
import { Icon } from "../components/icons";
import { count, NONE, plural } from "../format";
import type { Verdict } from "../shapes";

export function Proven({ verdict }: { verdict: Verdict }): JSX.Element {
  return (
    <>
      <p class={`verdict ${verdict.ok ? "good" : "bad"}`}>
        <Icon name={verdict.ok ? "check" : "cross"} />
        <span>{wordsOf(verdict)}</span>
      </p>
      <p class="soft">{verdict.proof}</p>
      <Facts
        of={[
          ["Entries looked at", count(verdict.entries)],
          ["From, to", verdict.first === null ? NONE : `${count(verdict.first)}, ${count(verdict.last)}`],
          ["Signed up to", verdict.signed_through === null ? "nothing" : count(verdict.signed_through)],
          ["Keys", verdict.keys.length ? <span class="mono">{verdict.keys.join(", ")}</span> : NONE],
        ]}
      />
    </>
  );
}

export function wordsOf({ ok, entries, last, fault }: Verdict): string {
  if (ok) return entries ? `The chain holds: ${plural(entries, "entry", "entries")}, each as it was written, none removed, swapped or added.` : "The trail has no entries yet.";
  const place = fault?.sequence == null ? "" : ` at entry ${count(fault.sequence)}`;
  const held = last ? ` Up to entry ${count(last)} it holds.` : "";
  return `The chain is broken${place}: ${fault?.message ?? "it is not as it was written"}.${held}`;
}
