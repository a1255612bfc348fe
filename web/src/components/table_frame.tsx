import type { ComponentChildren, JSX } from "preact";

/** Where a table stands. One whose rows lead nowhere is named: where it is wider than its place it is scrolled by keyboard. */
export function TableFrame({ name, children }: { name?: string; children: ComponentChildren }): JSX.Element {
  if (name === undefined) return <div class="listed">{children}</div>;
  return (
    <div class="listed" tabIndex={0} role="group" aria-label={name}>
      {children}
    </div>
  );
}
