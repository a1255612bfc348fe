// What stands where there is nothing to show: it loads, there is none, it failed, or it is not allowed.

import type { ComponentChildren, JSX } from "preact";
import { FORBIDDEN, NOT_FOUND, type Refusal } from "../backend";
import type { Data } from "../desk";
import { Icon, type IconName } from "./icons";

interface BlockProps {
  icon: IconName;
  title: string;
  children?: ComponentChildren;
  tone?: "bad";
}

export function Block({ icon, title, children, tone }: BlockProps): JSX.Element {
  return (
    <div class={`block ${tone ?? ""}`}>
      <Icon name={icon} />
      <p class="block-title">{title}</p>
      {children && <div class="block-text">{children}</div>}
    </div>
  );
}

export function Loading({ lines = 6 }: { lines?: number }): JSX.Element {
  return (
    <div class="loading" role="status">
      <span class="unseen">Loading</span>
      {Array.from({ length: lines }, (_, line) => (
        <div class="bone" key={line} />
      ))}
    </div>
  );
}

export function Failed({ error, again }: { error: Refusal; again?: () => void }): JSX.Element {
  if (error.code === FORBIDDEN) {
    return (
      <Block icon="lock" title="You have no permission to see this">
        <p>{error.message}</p>
      </Block>
    );
  }
  return (
    <Block icon={error.code === NOT_FOUND ? "search" : "hand"} title={error.code === NOT_FOUND ? "It is not here" : "This could not be read"} tone="bad">
      <p>{error.message}</p>
      {again && error.code !== NOT_FOUND && (
        <button type="button" onClick={again}>
          <Icon name="retry" />
          Try again
        </button>
      )}
    </Block>
  );
}

interface ReadProps<T> {
  from: Data<T>;
  children: (data: T) => ComponentChildren;
  loading?: ComponentChildren;
}

/** What was read, or what stands in its place. Data of before stays while the next is read, with a note where that failed. */
export function Read<T>({ from, children, loading }: ReadProps<T>): JSX.Element {
  if (from.data === null) return from.error ? <Failed error={from.error} again={from.reload} /> : <>{loading ?? <Loading />}</>;
  return (
    <>
      {from.error && <p class="stale" role="status">{from.error.message} What is shown is of before.</p>}
      {children(from.data)}
    </>
  );
}
