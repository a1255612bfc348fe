// The mark of the product.

import type { JSX } from "preact";

export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <rect width="20" height="20" rx="5" />
      <path d="M5 6.500 10 14l5-7.500M10 14V9" />
    </svg>
  );
}
