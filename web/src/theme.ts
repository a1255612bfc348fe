// Light and dark, and the looks of the host around the page. Colours are in styles/tokens.css as light-dark() pairs.

import type { HostContext } from "./bridge";
import { ofBrowser } from "./storage";

export type Theme = "system" | "light" | "dark";

const CHOICE = "vel-tutor.theme";
const OF_HOST = /^--(color|font|border|shadow)-[a-z0-9-]+$/;
const root = document.documentElement;

export function chosenTheme(): Theme {
  const choice = ofBrowser.read(CHOICE);
  return choice === "light" || choice === "dark" ? choice : "system";
}

export function chooseTheme(theme: Theme): void {
  ofBrowser.write(CHOICE, theme === "system" ? null : theme);
  showTheme(theme);
}

export function showTheme(theme: Theme): void {
  root.style.colorScheme = theme === "system" ? "light dark" : theme;
  root.dataset.theme = theme;
  window.dispatchEvent(new Event("themechange"));
}

export function wearHost(context: HostContext): void {
  if (context.theme) showTheme(context.theme);
  for (const [name, value] of Object.entries(context.styles?.variables ?? {})) {
    if (OF_HOST.test(name)) root.style.setProperty(name, value ?? null);
  }
  const insets = context.safeAreaInsets;
  if (insets) {
    for (const [side, pixels] of Object.entries(insets)) root.style.setProperty(`--inset-${side}`, `${pixels}px`);
  }
}
