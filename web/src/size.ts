// Inside a host the page says how high it is, so that the frame around it fits.

import type { Bridge, HostContext } from "./bridge";

/** More is scrolled within the frame, where messages at its edge are seen. */
const MOST_PIXELS = 800;

let most = MOST_PIXELS;

export function boundSize({ containerDimensions }: HostContext): void {
  if (containerDimensions) most = containerDimensions.maxHeight ?? MOST_PIXELS;
}

export function followSize(bridge: Bridge): void {
  let last = "";
  let asked = 0;
  const tell = () => {
    asked = 0;
    const { width, height } = document.body.getBoundingClientRect();
    const size = { width: Math.ceil(width), height: Math.min(Math.ceil(height), most) };
    if (JSON.stringify(size) === last) return;
    last = JSON.stringify(size);
    bridge.tell("ui/notifications/size-changed", size);
  };
  new ResizeObserver(() => (asked ||= requestAnimationFrame(tell))).observe(document.body);
}
