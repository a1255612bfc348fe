// The page around its views: navigation, title, what is always at hand.

import type { JSX, TargetedMouseEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { AppBackend } from "./app";
import { listOf, useArrival } from "./arrival";
import type { Query } from "./backend";
import type { BrowserBackend } from "./browser";
import { Icon, type IconName } from "./components/icons";
import { Mark } from "./components/mark";
import { Block } from "./components/states";
import { useData, useDesk } from "./desk";
import { Help } from "./help";
import { useHost } from "./host";
import { step, useKeys } from "./keys";
import type { Area } from "./live";
import { useMedia } from "./media";
import { go, hashOf, Link, type Route, useRoute } from "./route";
import { chooseTheme, chosenTheme, type Theme } from "./theme";
import { START, type View, VIEWS } from "./views";

const PRODUCT = "vel-tutor";
const GROUPS = ["Work", "Insight", "Watch"] as const;
const THEMES: Record<Theme, { next: Theme; icon: IconName; name: string }> = {
  system: { next: "light", icon: "screen", name: "as the system" },
  light: { next: "dark", icon: "sun", name: "light" },
  dark: { next: "system", icon: "moon", name: "dark" },
};

const rows = () => [...document.querySelectorAll<HTMLElement>(".row-link")];

export function Shell(): JSX.Element {
  const route = useRoute();
  const desk = useDesk();
  const [help, setHelp] = useState(false);
  const main = useRef<HTMLElement>(null);
  const waiting = useCount("run_change", "/api/approvals", {}, "approvals");
  const wrong = useCount("alert_read", "/api/alerts", { state: "open" }, "alerts");
  const view = VIEWS.find((one) => one.path === (route.view || START));
  useTitle(view, route, waiting);
  useArrival(main, { ...route, view: route.view || START });
  useKeys({
    "/": () => document.querySelector<HTMLElement>(".search:not(.further) input")?.focus(),
    "?": () => setHelp(true),
    Escape: () => route.id && go(listOf(route.view)),
    j: () => step(rows(), 1),
    k: () => step(rows(), -1),
  });
  const toMain = (event: TargetedMouseEvent<HTMLAnchorElement>) => {
    event.preventDefault();
    main.current?.focus();
  };
  return (
    <div class={`shell ${desk.backend.home}`}>
      <a class="skip" href="#main" onClick={toMain}>
        Skip to the content
      </a>
      <header class="side">
        <Link to={hashOf(START)} class="brand">
          <Mark />
          {PRODUCT}
        </Link>
        <Navigation current={view?.path} counts={{ approvals: [waiting, "waiting"], alerts: [wrong, "open"] }} />
        <Person openHelp={() => setHelp(true)} />
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {view ? <Drawn view={view} route={route} /> : <Nowhere />}
      </main>
      {help && <Help close={() => setHelp(false)} />}
    </div>
  );
}

function Drawn({ view, route }: { view: View; route: Route }): JSX.Element {
  const Draw = route.id && view.drawOne ? view.drawOne : view.draw;
  return <Draw key={`${view.path}/${route.id ?? ""}`} route={{ ...route, view: view.path }} />;
}

function Nowhere(): JSX.Element {
  return (
    <>
      <h1>Not found</h1>
      <Block icon="search" title="There is no such view">
        <Link to={hashOf(START)}>Go to the tasks</Link>
      </Block>
    </>
  );
}

/** How many a list has, where one may see it. */
function useCount(operation: string, path: string, query: Query, area: Area): number {
  const { may } = useDesk();
  return useData(may(operation) ? path : null, { ...query, limit: 1 }, [area]).data?.meta?.total ?? 0;
}

interface NavigationProps {
  current: string | undefined;
  /** What stands beside a view, and what it is a number of. */
  counts: Record<string, readonly [number: number, of: string]>;
}

function Navigation({ current, counts }: NavigationProps): JSX.Element {
  const { may } = useDesk();
  const bar = useRef<HTMLElement>(null);
  const isStrip = useMedia("(max-width: 899px)"); // which may have the current one out of sight
  useEffect(() => {
    const link = bar.current?.querySelector<HTMLElement>('[aria-current="page"]');
    if (bar.current && link) bar.current.scrollLeft = link.offsetLeft - (bar.current.clientWidth - link.offsetWidth) / 2;
  }, [current, isStrip, Object.values(counts).join()]);
  const allowed = VIEWS.filter((view) => may(view.operation));
  return (
    <nav aria-label="Views" class="views" ref={bar}>
      {GROUPS.map((group) => (
        <ul key={group} aria-label={group}>
          {allowed
            .filter((view) => view.group === group)
            .map((view) => (
              <li key={view.path}>
                <Link to={hashOf(view.path)} aria-current={view.path === current ? "page" : undefined}>
                  <Icon name={view.icon} />
                  {view.title}
                  <Count of={counts[view.path]} />
                </Link>
              </li>
            ))}
        </ul>
      ))}
    </nav>
  );
}

function Count({ of }: { of: readonly [number: number, of: string] | undefined }): JSX.Element | null {
  if (!of?.[0]) return null;
  return (
    <span class="count">
      {of[0]}
      <span class="unseen"> {of[1]}</span>
    </span>
  );
}

function Person({ openHelp }: { openHelp: () => void }): JSX.Element {
  const { me, backend, signedOut } = useDesk();
  const [theme, setTheme] = useState(chosenTheme());
  const { next, icon, name } = THEMES[theme];
  const change = () => {
    chooseTheme(next);
    setTheme(next);
  };
  const leave = async () => {
    await (backend as BrowserBackend).signOut();
    signedOut(null);
  };
  const inBrowser = backend.home === "browser";
  return (
    <div class="person">
      {inBrowser && (
        <div class="who">
          <span class="who-name" title={me.email ?? ""}>
            {me.email ?? "This machine"}
          </span>
          <span class="faint">{me.role.replace(/_/g, " ")}</span>
        </div>
      )}
      {!inBrowser && <Fuller backend={backend as AppBackend} />}
      <button type="button" class="quiet only-icon" aria-label="Keyboard and help" title="Help (?)" onClick={openHelp}>
        <Icon name="help" />
      </button>
      {inBrowser && (
        <button type="button" class="quiet only-icon" aria-label={`Theme: ${name}`} title={`Theme: ${name}`} onClick={change}>
          <Icon name={icon} />
        </button>
      )}
      {inBrowser && (backend as BrowserBackend).signedIn && (
        <button type="button" class="quiet only-icon" aria-label="Sign out" title="Sign out" onClick={leave}>
          <Icon name="out" />
        </button>
      )}
    </div>
  );
}

/** More room, where the host has some. */
function Fuller({ backend }: { backend: AppBackend }): JSX.Element | null {
  const { availableDisplayModes, displayMode } = useHost();
  const full = displayMode === "fullscreen";
  const other = full ? "inline" : "fullscreen";
  if (!availableDisplayModes?.includes(other)) return null;
  const name = full ? "Back into the conversation" : "Fill the window";
  return (
    <button type="button" class="quiet only-icon" aria-label={name} title={name} onClick={() => void backend.display(other)}>
      <Icon name={full ? "shrink" : "grow"} />
    </button>
  );
}

function useTitle(view: View | undefined, route: Route, waiting: number): void {
  const title = `${waiting > 0 ? `(${waiting}) ` : ""}${view?.title ?? "Not found"}${route.id ? ` ${route.id.slice(0, 8)}` : ""} · ${PRODUCT}`;
  useEffect(() => {
    document.title = title;
  }, [title]);
}
