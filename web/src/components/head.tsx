// The top of a view: its name, a line about it, and what can be done there.

import type { ComponentChildren, JSX } from "preact";

export function Head({ title, note, children }: { title: ComponentChildren; note?: ComponentChildren; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="head">
      <div class="head-text">
        <h1>{title}</h1>
        {note && <p class="faint">{note}</p>}
      </div>
      {children && <div class="head-actions">{children}</div>}
    </div>
  );
}

/** A part of a view with a heading of its own. */
export function Section({ title, note, children, actions }: { title: string; note?: ComponentChildren; children: ComponentChildren; actions?: ComponentChildren }): JSX.Element {
  return (
    <section class="section" aria-label={title}>
      <div class="section-head">
        <h2>{title}</h2>
        {note && <span class="faint">{note}</span>}
        {actions && <div class="section-actions">{actions}</div>}
      </div>
      {children}
    </section>
  );
}
