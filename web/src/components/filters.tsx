// Filters of a list. What is chosen stands in the address, so that it can be sent on, and Back undoes it.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { go, hashOf, type Route } from "../route";
import { BETWEEN, dayOf, momentOf, SPANS } from "../span";
import { Icon } from "./icons";

const TYPING_MILLISECONDS = 250;

/** Change the address's query; another filter begins at the list's first page. */
export function useFilter(route: Route): (changes: Record<string, string | number | null>) => void {
  return (changes) => {
    const begins = "offset" in changes ? {} : { offset: null };
    go(hashOf(route.view, route.id, { ...route.query, ...begins, ...changes }), !("offset" in changes));
  };
}

export function Filters({ children, clear }: { children: ComponentChildren; clear?: (() => void) | undefined }): JSX.Element {
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      {children}
      {clear && (
        <button type="button" class="quiet only-icon" aria-label="Clear filters" title="Clear filters" onClick={clear}>
          <Icon name="cross" />
        </button>
      )}
    </form>
  );
}

interface SearchProps {
  label: string;
  value: string;
  set: (text: string) => void;
  /** What is offered while one types. */
  offers?: readonly string[];
  /** One of several such fields, and not the one that "/" leads to. */
  further?: boolean;
}

/** A field that tells its text when the typing pauses. "/" leads to it. */
export function Search({ label, value, set, offers, further }: SearchProps): JSX.Element {
  const list = useId();
  const [text, setText] = useState(value);
  const told = useRef(value);
  useEffect(() => {
    if (value !== told.current) setText((told.current = value));
  }, [value]);
  useEffect(() => {
    if (text === told.current) return undefined;
    const timer = setTimeout(() => set((told.current = text)), TYPING_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <label class={further ? "search further" : "search"}>
      {!further && <Icon name="search" />}
      <span class="unseen">{label}</span>
      <input type="search" value={text} placeholder={label} maxLength={200} list={offers && list} onInput={(event) => setText(event.currentTarget.value)} />
      {!further && <kbd aria-hidden="true">/</kbd>}
      {offers && (
        <datalist id={list}>
          {offers.map((offer) => (
            <option key={offer} value={offer} />
          ))}
        </datalist>
      )}
    </label>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  options: readonly (readonly [value: string, text: string])[];
  set: (value: string | null) => void;
  /** What stands for no choice; without it one must be chosen. */
  all?: string | undefined;
}

export function Choice({ label, value, options, set, all }: ChoiceProps): JSX.Element {
  const known = options.some(([option]) => option === value) || value === "";
  return (
    <label class="choice" data-set={all !== undefined && value !== ""}>
      <span class="unseen">{label}</span>
      <select value={value} onChange={(event) => set(event.currentTarget.value || null)}>
        {all !== undefined && <option value="">{all}</option>}
        {options.map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
        {!known && <option value={value}>{value}</option>}
      </select>
    </label>
  );
}

/** When something was: the last hours or days, or between two days. */
export function When({ route }: { route: Route }): JSX.Element {
  const filter = useFilter(route);
  const { when = "", since = "", until = "" } = route.query;
  const options = [...Object.entries(SPANS).map(([name, [text]]) => [name, text] as const), [BETWEEN, "Between days"] as const];
  return (
    <>
      <Choice label="Time" all="Any time" value={when} options={options} set={(to) => filter({ when: to, since: null, until: null })} />
      {when === BETWEEN && <Day label="From" value={since} set={(at) => filter({ since: at })} />}
      {when === BETWEEN && <Day label="To" end value={until} set={(at) => filter({ until: at })} />}
    </>
  );
}

/** A day, told as the moment at which it begins, or with `end` the one at which it is over, of where the reader is. */
function Day({ label, value, set, end }: { label: string; value: string; set: (at: string | null) => void; end?: boolean }): JSX.Element {
  const change = (day: string) => set(day ? momentOf(day, end ?? false) : null);
  return (
    <label class="day">
      <span>{label}</span>
      <input type="date" value={value ? dayOf(value, end ?? false) : ""} onChange={(event) => change(event.currentTarget.value)} />
    </label>
  );
}
