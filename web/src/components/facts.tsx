// Names and values, side by side.

import type { ComponentChildren, JSX } from "preact";

export type Fact = readonly [name: string, value: ComponentChildren];

export function Facts({ of }: { of: readonly (Fact | null | false | undefined)[] }): JSX.Element {
  return (
    <dl class="facts">
      {of.filter((fact) => !!fact).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
