// The pictures of the page: lines of 16 by 16, in the colour of the text around them. They are never alone: words stand by.

import type { JSX } from "preact";

const PATHS = {
  tasks: "M2.5 4h1M6 4h7.5M2.5 8h1M6 8h7.5M2.5 12h1M6 12h7.5",
  runs: "M3.5 5.5v5M12.5 5.5v1a2 2 0 0 1-2 2h-5a2 2 0 0 0-2 2M3.5 5.5a1.75 1.75 0 1 0 0-3.5 1.75 1.75 0 0 0 0 3.5ZM3.5 14a1.75 1.75 0 1 0 0-3.5 1.75 1.75 0 0 0 0 3.5ZM12.5 5.5a1.75 1.75 0 1 0 0-3.5 1.75 1.75 0 0 0 0 3.5Z",
  approvals: "M5.5 8l2 2 3.5-4M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Z",
  costs: "M8 1.5v13M11.5 4.5C11 3.5 9.8 3 8 3 6 3 4.7 3.9 4.7 5.4c0 3.5 6.9 1.6 6.9 5.1C11.6 12 10.200 13 8 13c-2 0-3.300-.6-3.800-1.700",
  performance: "M1.500 8.500h3l2-5.500 3 10 2-4.500h3",
  compare: "M8 1.500v13M2 4h3.500v8H2zM10.500 4H14v8h-3.500z",
  alerts: "M8 2a4 4 0 0 0-4 4c0 4-1.500 5-1.500 5h11S12 10 12 6a4 4 0 0 0-4-4ZM6.500 13.500a1.600 1.600 0 0 0 3 0",
  audit: "M8 1.500 2.500 3.500v4c0 3.500 2.300 6 5.500 7 3.200-1 5.500-3.500 5.500-7v-4zM5.500 8l2 2 3-3.500",
  webhooks: "M6.500 9.500l3-3M7 4.500l1.500-1.500a3 3 0 0 1 4.500 4.500L11.500 9M9 11.500 7.500 13A3 3 0 0 1 3 8.500L4.500 7",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.700 10.700 14 14",
  plus: "M8 3v10M3 8h10",
  cross: "M4 4l8 8M12 4l-8 8",
  check: "M3 8.500l3.500 3.500L13 4.500",
  left: "M10 3 5 8l5 5",
  right: "M6 3l5 5-5 5",
  dot: "M8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
  clock: "M8 4.500V8l2.500 1.500M8 14.500a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13Z",
  hand: "M8 5v4M8 11.500v.1M8 1.500 1.500 13.500h13z",
  half: "M8 1.500a6.500 6.500 0 0 1 0 13M8 14.500a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13Z",
  stop: "M8 14.500a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13ZM3.500 3.500l9 9",
  skip: "M3 3.500 8 8l-5 4.500zM8.500 3.500 13.500 8l-5 4.500z",
  lock: "M4.500 7V5a3.500 3.500 0 0 1 7 0v2M3 7h10v7H3z",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13.500 9.500A6 6 0 0 1 6.500 2.500a6 6 0 1 0 7 7Z",
  screen: "M1.500 2.500h13v8.500h-13zM5.500 14h5",
  help: "M6 6a2 2 0 1 1 2.800 1.800c-.5.3-.8.7-.8 1.200v.3M8 11.600v.1M8 14.500a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13Z",
  out: "M6 2.500H2.500v11H6M10 5l3 3-3 3M13 8H6",
  retry: "M13 8a5 5 0 1 1-1.500-3.600L13 6M13 2.500V6H9.500",
  star: "M8 1.800l1.900 3.900 4.300.6-3.100 3 .7 4.300L8 11.600l-3.800 2 .7-4.300-3.100-3 4.300-.6z",
  down: "M8 2v8M4.500 7 8 10.500 11.500 7M2.500 13.500h11",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  filter: "M2 3.500h12M4.500 8h7M6.500 12.500h3",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, filled }: { name: IconName; filled?: boolean }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill={filled ? "currentColor" : "none"} />
    </svg>
  );
}
