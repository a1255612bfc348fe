// How the MCP host around the page wants it to be: it tells parts, again and again, and this keeps the whole.

import { useEffect, useState } from "preact/hooks";
import type { HostContext } from "./bridge";
import { boundSize } from "./size";
import { wearHost } from "./theme";

let context: HostContext = {};
const listeners = new Set<() => void>();

export function followHost(changed: HostContext): void {
  context = { ...context, ...changed };
  wearHost(changed);
  boundSize(changed);
  for (const listener of [...listeners]) listener();
}

/** Nothing, in a browser. */
export function useHost(): HostContext {
  const [now, setNow] = useState(context);
  useEffect(() => {
    const listener = () => setNow(context);
    listeners.add(listener);
    listener();
    return () => void listeners.delete(listener);
  }, []);
  return now;
}
