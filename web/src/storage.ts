// What the browser keeps for this page. A sandboxed frame has no storage: there it lasts as long as the page.

const instead = new Map<string, string>();

export interface Place {
  read: (name: string) => string | null;
  write: (name: string, value: string | null) => void;
}

function place(storage: () => Storage): Place {
  return {
    read(name) {
      try {
        return storage().getItem(name);
      } catch {
        return instead.get(name) ?? null;
      }
    },
    write(name, value) {
      try {
        if (value === null) storage().removeItem(name);
        else storage().setItem(name, value);
      } catch {
        if (value === null) instead.delete(name);
        else instead.set(name, value);
      }
    },
  };
}

/** Until the tab is closed. */
export const ofTab = place(() => window.sessionStorage);
/** For all tabs, and the next time. */
export const ofBrowser = place(() => window.localStorage);
