// Which part of a list is shown, and the way to the others.

import type { JSX } from "preact";
import { count } from "../format";
import { Icon } from "./icons";

export interface Meta {
  total: number;
  limit: number;
  offset: number;
}

export function Pager({ meta, shown, turn }: { meta: Meta; shown: number; turn: (offset: number) => void }): JSX.Element {
  const last = meta.offset + shown;
  return (
    <nav class="pager" aria-label="Pages of the list">
      <span class="faint">
        {shown ? `${count(meta.offset + 1)}–${count(last)} of ${count(meta.total)}` : `None of ${count(meta.total)}`}
      </span>
      <button type="button" disabled={meta.offset === 0} onClick={() => turn(Math.max(0, meta.offset - meta.limit))}>
        <Icon name="left" />
        Newer
      </button>
      <button type="button" disabled={last >= meta.total} onClick={() => turn(meta.offset + meta.limit)}>
        Older
        <Icon name="right" />
      </button>
    </nav>
  );
}
