// What happened to a task or a run, and how far it is.

import type { JSX } from "preact";
import { Section } from "../components/head";
import { clock, exact } from "../format";
import type { Happening } from "../shapes";

const SHOWN = 40;
const TIME = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export function Progress({ history }: { history: readonly Happening[] }): JSX.Element {
  const last = history.at(-1);
  const percent = Math.round(last?.percent ?? 0);
  return (
    <div class="progress" aria-live="polite">
      <progress max={100} value={percent} aria-label="Progress" />
      <span class="soft">
        {percent}% · {last?.message ?? "submitted"}
      </span>
    </div>
  );
}

export function History({ of }: { of: readonly Happening[] }): JSX.Element {
  const first = of[0];
  const shown = of.slice(-SHOWN);
  return (
    <Section title="History" note={first && clock(first.at)}>
      <ol class="history">
        {shown.map((row, index) => (
          <li key={`${row.at} ${index}`}>
            <time dateTime={row.at} title={exact(row.at)}>
              {TIME.format(new Date(row.at))}
            </time>
            <span>{row.message}</span>
          </li>
        ))}
      </ol>
      {shown.length < of.length && <p class="faint">{of.length - shown.length} earlier ones are left out.</p>}
    </Section>
  );
}
