// A line without axes, as wide as a word: which way it goes. The numbers stand beside it.

import type { JSX } from "preact";

const WIDTH = 96;
const HEIGHT = 24;
const EDGE = 2;

export function Spark({ values }: { values: readonly (number | null)[] }): JSX.Element {
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true" focusable="false">
      <path d={pathOf(values)} />
    </svg>
  );
}

/** The line as a path of SVG, with a gap where there is no value. A point alone is drawn as a dot. */
export function pathOf(values: readonly (number | null)[]): string {
  const most = Math.max(0, ...values.map((value) => value ?? 0));
  const across = (WIDTH - 2 * EDGE) / Math.max(1, values.length - 1);
  let under = false;
  return values
    .map((value, index) => {
      const begins = !under;
      under = value !== null;
      if (value === null) return "";
      const x = (EDGE + index * across).toFixed(1);
      const y = (HEIGHT - EDGE - (most ? (value / most) * (HEIGHT - 2 * EDGE) : 0)).toFixed(1);
      return begins ? `M${x} ${y}h.01` : `L${x} ${y}`;
    })
    .join("");
}
