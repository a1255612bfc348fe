// Coming to a view: at its top; or, back from one of its things, where one had left, with the focus on that thing.

import { useLayoutEffect, useRef } from "preact/hooks";
import { hashOf, type Route } from "./route";

/** Where each view's list was when it was last seen: its address, with filters, and how far it was scrolled. */
const lists = new Map<string, { hash: string; top: number }>();

/** The way back to a view's list, as it was left. */
export function listOf(view: string): string {
  return lists.get(view)?.hash ?? hashOf(view);
}

export function useArrival(main: { current: HTMLElement | null }, route: Route): void {
  const before = useRef(route);
  const hash = hashOf(route.view, null, route.query);
  const place = `${route.view}/${route.id ?? ""}`;
  // Before anybody can type: later it would take the focus from a field.
  useLayoutEffect(() => {
    const from = before.current;
    before.current = route;
    if (from === route) return;
    const back = from.view === route.view && from.id !== null && route.id === null;
    window.scrollTo(0, (back && lists.get(route.view)?.top) || 0);
    const row = back ? linkTo(hashOf(from.view, from.id)) : null;
    (row ?? main.current)?.focus({ preventScroll: true });
  }, [place]);
  // Taken away before the page scrolls for what comes next.
  useLayoutEffect(() => {
    if (route.id !== null) return undefined;
    const note = () => lists.set(route.view, { hash, top: window.scrollY });
    note();
    window.addEventListener("scroll", note, { passive: true });
    return () => window.removeEventListener("scroll", note);
  }, [hash, place]);
}

function linkTo(hash: string): HTMLElement | null {
  return [...document.querySelectorAll<HTMLElement>(".row-link")].find((link) => link.getAttribute("href") === hash) ?? null;
}
