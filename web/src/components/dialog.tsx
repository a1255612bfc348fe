// A dialog in the middle, or a drawer at the side: the browser's own, which keeps the focus inside and ends with Esc.

import type { ComponentChildren, JSX, TargetedMouseEvent } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Icon } from "./icons";

interface DialogProps {
  title: string;
  close: () => void;
  children: ComponentChildren;
  drawer?: boolean;
  /** It holds what would be lost: a click beside it does not end it. */
  kept?: boolean;
}

/** It is open as long as it is there. */
export function Dialog({ title, close, children, drawer, kept }: DialogProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close();
  }, []);
  const beside = (event: TargetedMouseEvent<HTMLDialogElement>) => !kept && event.target === event.currentTarget && close();
  return (
    <dialog
      ref={dialog}
      class={drawer ? "drawer" : ""}
      aria-labelledby={id}
      onClick={beside}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
    >
      <div class="dialog-body">
        <header>
          <h2 id={id}>{title}</h2>
          <button type="button" class="quiet only-icon" onClick={close} aria-label="Close">
            <Icon name="cross" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

interface EndProps {
  /** What is wrong, where something is. */
  problem: string | undefined;
  /** On the button that sends. */
  submit: string;
  disabled: boolean;
  close: () => void;
}

/** The end of a dialog's form: what is wrong with it, and how to leave or send it. */
export function FormEnd({ problem, submit, disabled, close }: EndProps): JSX.Element {
  return (
    <>
      <p class="problem" role="alert">
        {problem}
      </p>
      <div class="actions">
        <button type="button" onClick={close}>
          Close
        </button>
        <button type="submit" class="primary" disabled={disabled}>
          {submit}
        </button>
      </div>
    </>
  );
}
