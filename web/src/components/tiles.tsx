// The few numbers that a view is about, each with a line that says what to make of it.

import "./tiles.css";

import type { ComponentChildren, JSX } from "preact";

export interface Tile {
  name: string;
  value: string;
  note: ComponentChildren;
  gain?: boolean;
}

export function Tiles({ of }: { of: readonly Tile[] }): JSX.Element {
  return (
    <dl class="tiles">
      {of.map(({ name, value, note, gain }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class={gain ? "gain" : ""}>{value}</dd>
          <dd>{note}</dd>
        </div>
      ))}
    </dl>
  );
}
