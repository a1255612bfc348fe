// Inside a host the page says how high it is, so that the frame around it fits.

import type { Bridge } from "./bridge";

export function followSize(bridge: Bridge): void {
  let last = "";
  let asked = 0;
  const tell = () => {
    asked = 0;
    const { width, height } = document.body.getBoundingClientRect();
    const size = { width: Math.ceil(width), height: Math.ceil(height) };
    if (JSON.stringify(size) === last) return;
    last = JSON.stringify(size);
    bridge.tell("ui/notifications/size-changed", size);
  };
  new ResizeObserver(() => (asked ||= requestAnimationFrame(tell))).observe(document.body);
}
