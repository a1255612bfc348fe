// The page's colours as a canvas needs them: what the tokens come to in the present theme.

import { useEffect, useState } from "preact/hooks";
import { TINTS } from "./look";

export interface Colours {
  /** By tint: 0 is of the rest. */
  series: readonly string[];
  surface: string;
  faint: string;
  line: string;
  font: string;
}

/** `near` is in the page, so that it is given what the page has. */
export function coloursOf(near: HTMLElement): Colours {
  const probe = near.appendChild(document.createElement("i"));
  const read = (token: string) => {
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  };
  const tints = Array.from({ length: TINTS }, (_, index) => read(`--series-${index + 1}`));
  const colours = {
    series: [read("--series-other"), ...tints],
    surface: read("--bg-raised"),
    faint: read("--text-faint"),
    line: read("--line"),
    font: getComputedStyle(near).fontFamily,
  };
  probe.remove();
  return colours;
}

/** A number that is another one after each change of the theme. */
export function useThemeTurn(): number {
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const next = () => setTurn((now) => now + 1);
    const system = matchMedia("(prefers-color-scheme: dark)");
    window.addEventListener("themechange", next);
    system.addEventListener("change", next);
    return () => {
      window.removeEventListener("themechange", next);
      system.removeEventListener("change", next);
    };
  }, []);
  return turn;
}
