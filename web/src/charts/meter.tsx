// How much of a limit is used: what is spent, what is set aside, where it goes, and the marks at 80 and 100 %.

import type { JSX } from "preact";

const WIDTH = 400;
const HEIGHT = 14;
/** Beyond it a bar ends: whoever is so far over reads it in words. */
const LONGEST = 150;
const ROOM = 120;

interface MeterProps {
  label: string;
  /** Shares of the limit, in percent. */
  spent: number;
  aside: number;
  projected: number | null;
  /** The same in words. */
  text: string;
}

export function Meter({ label, spent, aside, projected, text }: MeterProps): JSX.Element {
  const scale = scaleOf(spent + aside, projected);
  const at = (percent: number) => (Math.min(percent, scale) / scale) * WIDTH;
  return (
    <div class={`meter ${toneOf(spent)}`} role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={Math.max(100, spent)} aria-valuenow={spent} aria-valuetext={text}>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
        <rect class="track" y="3" width={at(100)} height="8" />
        <rect class="aside" y="3" x={at(spent)} width={Math.max(0, at(spent + aside) - at(spent))} height="8" />
        <rect class="spent" y="3" width={at(spent)} height="8" />
        {[80, 100].map((mark) => (
          <path key={mark} class="mark" d={`M${at(mark)} 1V13`} />
        ))}
        {projected !== null && projected > spent && <path class="projected" d={`M${at(spent)} 7H${at(projected)}`} />}
      </svg>
    </div>
  );
}

/** How many percent the whole width stands for. */
export function scaleOf(used: number, projected: number | null): number {
  return Math.min(LONGEST, Math.max(ROOM, used, projected ?? 0));
}

export function toneOf(spent: number): "fine" | "near" | "over" {
  return spent > 100 ? "over" : spent >= 80 ? "near" : "fine";
}
