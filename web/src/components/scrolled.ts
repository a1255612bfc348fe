// What is wider or higher than its place can be scrolled by key: then the place takes the focus, and has a name.

import { useLayoutEffect } from "preact/hooks";

/** `inner` is what may be too large for the element around it. */
export function useScrolledByKey(inner: { current: HTMLElement | null }, name: string): void {
  useLayoutEffect(() => {
    const content = inner.current;
    const place = content?.parentElement;
    if (!content || !place) return undefined;
    const look = () => {
      const scrolls = place.scrollWidth > place.clientWidth || place.scrollHeight > place.clientHeight;
      for (const [attribute, value] of Object.entries({ tabindex: "0", role: "region", "aria-label": name })) {
        if (scrolls) place.setAttribute(attribute, value);
        else place.removeAttribute(attribute);
      }
    };
    const watch = new ResizeObserver(look);
    watch.observe(place);
    watch.observe(content);
    return () => watch.disconnect();
  }, [name]);
}
