// What the keys do.

import type { JSX } from "preact";
import { Dialog } from "./components/dialog";

const KEYS: readonly (readonly [keys: readonly string[], does: string])[] = [
  [["/"], "Search in the list"],
  [["j", "k"], "To the next row, or the one before"],
  [["↑", "↓"], "The same, once a row has the focus"],
  [["Enter"], "Open the row"],
  [["Esc"], "Close what is open, or go back to the list"],
  [["n"], "A new task, comparison or webhook, in the view of these"],
  [["?"], "This help"],
];

export function Help({ close }: { close: () => void }): JSX.Element {
  return (
    <Dialog title="Keyboard" close={close}>
      <dl class="keys">
        {KEYS.map(([keys, does]) => (
          <div key={does}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <p class="faint">Lists and details are live: what changes is read again within two seconds. Times are of your own clock.</p>
    </Dialog>
  );
}
