// What the window is like, as style sheets ask for it.

import { useEffect, useState } from "preact/hooks";

/** Whether the media query holds now. */
export function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => window.matchMedia(query).matches);
  useEffect(() => {
    const asked = window.matchMedia(query);
    const look = () => setHolds(asked.matches);
    look();
    asked.addEventListener("change", look);
    return () => asked.removeEventListener("change", look);
  }, [query]);
  return holds;
}
