// Short messages at the edge, and the voice of the page for screen readers.

import type { JSX } from "preact";
import { useCallback, useRef, useState } from "preact/hooks";
import { Icon } from "./icons";

const SHOWN_MILLISECONDS = { good: 4000, bad: 9000 };

interface Toast {
  id: number;
  text: string;
  kind: "good" | "bad";
}

export interface Voice {
  toast: (text: string, kind?: "good" | "bad") => void;
  announce: (text: string) => void;
  shown: JSX.Element;
}

export function useVoice(): Voice {
  const [toasts, setToasts] = useState<Toast[]>([]);
  const [said, setSaid] = useState("");
  const last = useRef(0);
  const drop = (id: number) => setToasts((now) => now.filter((toast) => toast.id !== id));
  const toast = useCallback((text: string, kind: "good" | "bad" = "good") => {
    const id = ++last.current;
    setToasts((now) => [...now.slice(-2), { id, text, kind }]);
    setTimeout(() => drop(id), SHOWN_MILLISECONDS[kind]);
  }, []);
  // The same words twice are news twice: a space at the end makes them so.
  const announce = useCallback((text: string) => setSaid((before) => (before === text ? `${text} ` : text)), []);
  const shown = (
    <>
      <div class="unseen" aria-live="polite">
        {said}
      </div>
      <div class="toasts" role="status">
        {toasts.map(({ id, text, kind }) => (
          <div key={id} class={`toast ${kind}`}>
            <Icon name={kind === "good" ? "check" : "hand"} />
            <span>{text}</span>
            <button type="button" class="quiet only-icon" aria-label="Dismiss" onClick={() => drop(id)}>
              <Icon name="cross" />
            </button>
          </div>
        ))}
      </div>
    </>
  );
  return { toast, announce, shown };
}
