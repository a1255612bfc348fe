// A series in small, beside its name: the texture of its bars, or the dash and mark of its line.

import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { MARK_PATHS, SCRATCHES } from "./drawing";
import type { Look } from "./look";

export function Swatch({ kind, look }: { kind: "bars" | "lines"; look: Look }): JSX.Element {
  return kind === "bars" ? <Square look={look} /> : <Line look={look} />;
}

/** A group by its name, and as it looks in the chart. */
export function Named({ kind, look, name }: { kind: "bars" | "lines"; look: Look; name: string }): JSX.Element {
  return (
    <span class="with-swatch">
      <Swatch kind={kind} look={look} />
      {name}
    </span>
  );
}

function Square({ look }: { look: Look }): JSX.Element {
  const id = useId();
  return (
    <svg class={`swatch tint-${look.tint}`} viewBox="0 0 12 12" aria-hidden="true" focusable="false">
      <rect width="12" height="12" rx="2.5" fill="currentColor" />
      {look.texture !== "plain" && (
        <>
          <pattern id={id} width="6" height="6" patternUnits="userSpaceOnUse">
            <path class={`scratch ${look.texture}`} d={SCRATCHES[look.texture]} />
          </pattern>
          <rect width="12" height="12" fill={`url(#${id})`} />
        </>
      )}
    </svg>
  );
}

function Line({ look }: { look: Look }): JSX.Element {
  return (
    <svg class={`swatch line tint-${look.tint}`} viewBox="0 0 24 12" aria-hidden="true" focusable="false">
      <path d="M0 6H24" stroke-dasharray={look.dash.join(" ")} fill="none" />
      <path d={MARK_PATHS[look.mark]} class={look.mark} transform="translate(12 6)" />
    </svg>
  );
}
