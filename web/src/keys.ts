// The keyboard, for the page as a whole.

import { useEffect } from "preact/hooks";

/** Call the handler of a key, unless it is typed into a field or belongs to a dialog. */
export function useKeys(handlers: Record<string, (event: KeyboardEvent) => void>): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (isField(event.target) || document.querySelector("dialog[open]")) return;
      const handler = handlers[event.key];
      if (!handler) return;
      event.preventDefault();
      handler(event);
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  });
}

function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName));
}

/** Move the focus to the next or the previous of the elements. */
export function step(elements: HTMLElement[], by: 1 | -1): void {
  const now = elements.indexOf(document.activeElement as HTMLElement);
  const next = now < 0 ? (by > 0 ? 0 : elements.length - 1) : Math.min(elements.length - 1, Math.max(0, now + by));
  elements[next]?.focus();
}
