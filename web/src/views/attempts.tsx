// The calls to models that a task took, each on one line of time.

import type { JSX } from "preact";
import { standing, Status } from "../components/badge";
import { Section } from "../components/head";
import { TableFrame } from "../components/table_frame";
import { count, duration, money, plural, sentence } from "../format";
import type { Attempt } from "../shapes";

export interface Bar {
  /** Shares of the whole time, in percent. */
  from: number;
  width: number;
  first: number | null;
}

const LEAST_WIDTH = 0.6;
const COLUMNS = ["Model", "Outcome", "Time", "Took", "Tokens", "Cost"] as const;
const NUMBERS: ReadonlySet<string> = new Set(["Took", "Tokens", "Cost"]);

/** Where each attempt lies on a line from `since` to the end of the last one. One without an end lasts until now. */
export function barsOf(attempts: readonly Attempt[], since: string, now: number): Bar[] {
  const begin = Math.min(Date.parse(since), ...attempts.map((attempt) => Date.parse(attempt.started_at)));
  const spans = attempts.map((attempt) => {
    const from = Date.parse(attempt.started_at) - begin;
    return { from, took: attempt.total_ms ?? Math.max(0, now - begin - from), first: attempt.first_token_ms };
  });
  const whole = Math.max(1, ...spans.map(({ from, took }) => from + took));
  const share = (milliseconds: number) => (100 * milliseconds) / whole;
  return spans.map(({ from, took, first }) => ({
    from: Math.min(share(from), 100 - LEAST_WIDTH),
    width: Math.max(share(took), LEAST_WIDTH),
    first: first === null ? null : share(from + first),
  }));
}

export function Attempts({ of, since }: { of: readonly Attempt[]; since: string }): JSX.Element | null {
  if (!of.length) return null;
  const begun = of.reduce((least, attempt) => (attempt.started_at < least ? attempt.started_at : least), since);
  const bars = barsOf(of, begun, Date.now());
  return (
    <Section title="Attempts" note={plural(of.length, "call")}>
      <TableFrame name="Attempts, as a table">
        <table role="table" class="attempts">
          <caption class="unseen">Calls to models, in order, with how long each took</caption>
          <thead role="rowgroup">
            <tr role="row">
              {COLUMNS.map((column) => (
                <th key={column} scope="col" role="columnheader" class={classOf(column)}>
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {of.map((attempt, index) => (
              <Line key={index} attempt={attempt} bar={bars[index]!} />
            ))}
          </tbody>
        </table>
      </TableFrame>
    </Section>
  );
}

function Line({ attempt, bar }: { attempt: Attempt; bar: Bar }): JSX.Element {
  const name = `${attempt.provider}/${attempt.model}`;
  return (
    <>
      <tr role="row" class={attempt.error ? "attempt-failed" : ""}>
        <td role="cell" data-label="Model">
          {name}
        </td>
        <td role="cell" data-label="Outcome">
          <Status of={attempt.outcome} />
        </td>
        <td role="cell" data-label="Time" class="lane">
          <svg class={standing(attempt.outcome).tone} role="img" aria-label={`First token after ${duration(attempt.first_token_ms)}, ended after ${duration(attempt.total_ms)}`}>
            <rect class="lane-whole" x={`${bar.from}%`} width={`${bar.width}%`} y="4" height="12" rx="3" />
            {bar.first !== null && <rect class="lane-first" x={`${bar.first}%`} width="2" y="1" height="18" />}
          </svg>
        </td>
        <td role="cell" class="number" data-label="Took">
          {duration(attempt.total_ms)}
        </td>
        <td role="cell" class="number" data-label="Tokens" title="in, out">
          {count(attempt.tokens_in)} / {count(attempt.tokens_out)}
        </td>
        <td role="cell" class="number" data-label="Cost">
          {money(attempt.cost_usd)}
        </td>
      </tr>
      {attempt.error && (
        <tr role="row" class="attempt-why">
          <td role="cell" colSpan={COLUMNS.length}>
            {sentence(attempt.error.replace(`${name} failed; `, ""))}
          </td>
        </tr>
      )}
    </>
  );
}

function classOf(column: (typeof COLUMNS)[number]): string {
  return column === "Time" ? "wide" : NUMBERS.has(column) ? "number" : "";
}
