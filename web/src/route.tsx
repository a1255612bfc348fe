// Where in the page one is: "#/tasks/some-id?status=failed". In a frame of a host the address is not ours, so it is kept here.

import { useEffect, useState } from "preact/hooks";
import type { ComponentChildren, JSX, TargetedMouseEvent } from "preact";
import { type Route, routeOf } from "./address";

export { hashOf, type Route } from "./address";

const framed = window.parent !== window;
let place = framed ? "#/" : location.hash;
const listeners = new Set<() => void>();

if (!framed) window.addEventListener("hashchange", () => moved(location.hash));

function moved(to: string): void {
  place = to;
  for (const listener of listeners) listener();
}

/** Go there. `replace` leaves no step behind for the browser's Back. */
export function go(hash: string, replace = false): void {
  if (framed) moved(hash);
  else if (replace) {
    history.replaceState(null, "", hash);
    moved(hash);
  } else location.hash = hash;
}

export function useRoute(): Route {
  const [hash, setHash] = useState(place);
  useEffect(() => {
    const listener = () => setHash(place);
    listeners.add(listener);
    listener();
    return () => void listeners.delete(listener);
  }, []);
  return routeOf(hash);
}

interface LinkProps {
  to: string;
  children: ComponentChildren;
  class?: string;
  title?: string;
  "aria-current"?: "page" | undefined;
}

/** A link within the page. */
export function Link({ to, children, ...rest }: LinkProps): JSX.Element {
  const follow = (event: TargetedMouseEvent<HTMLAnchorElement>) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a href={to} onClick={follow} {...rest}>
      {children}
    </a>
  );
}
