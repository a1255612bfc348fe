// Long texts: always as text, never as markup. Data is written as JSON.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useDesk } from "../desk";
import { count, textOf } from "../format";
import { Icon } from "./icons";

const SHOWN_CHARACTERS = 4000;

export function Text({ of, label }: { of: unknown; label: string }): JSX.Element {
  const [whole, setWhole] = useState(false);
  const text = textOf(of);
  const cut = !whole && text.length > SHOWN_CHARACTERS;
  return (
    <div class="text">
      <pre class={typeof of === "string" ? "prose" : ""} tabIndex={0} role="group" aria-label={label}>
        {cut ? text.slice(0, SHOWN_CHARACTERS) : text}
        {cut && "…"}
      </pre>
      <div class="text-actions">
        {text.length > SHOWN_CHARACTERS && (
          <button type="button" class="quiet" onClick={() => setWhole(!whole)}>
            {whole ? "Show less" : `Show all ${count(text.length)} characters`}
          </button>
        )}
        <Copy text={text} what={label} />
      </div>
    </div>
  );
}

/** Nothing where the browser lets no page write its clipboard. */
export function Copy({ text, what }: { text: string; what: string }): JSX.Element | null {
  const { toast } = useDesk();
  if (!navigator.clipboard) return null;
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => toast("Copied."),
      () => toast("The browser did not let this page copy; select the text and copy it.", "bad"),
    );
  return (
    <button type="button" class="quiet only-icon" aria-label={`Copy ${what.toLowerCase()}`} title="Copy" onClick={copy}>
      <Icon name="copy" />
    </button>
  );
}
