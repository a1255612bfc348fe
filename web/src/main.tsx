// Where the page begins: in which home it is, who is asking, and then the shell or the sign-in.

import "uplot/dist/uPlot.min.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";
import "./styles/tables.css";
import "./styles/dialogs.css";
import "./styles/charts.css";

import { render } from "preact";
import type { JSX } from "preact";
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { AppBackend } from "./app";
import { type Backend, type Json, Refusal, SIGNED_OUT } from "./backend";
import { Bridge } from "./bridge";
import { BrowserBackend } from "./browser";
import { Failed, Loading } from "./components/states";
import { useVoice } from "./components/toasts";
import { asRefusal, type Desk, DeskContext, ENDED, type Me } from "./desk";
import { followHost } from "./host";
import { Live } from "./live";
import { go, hashOf } from "./route";
import { Shell } from "./shell";
import { SignIn } from "./sign_in";
import { followSize } from "./size";
import { chosenTheme, showTheme } from "./theme";

const VERSION = "1";

interface Standing {
  me: Me | null;
  error: Refusal | null;
  /** Why somebody who was signed in is so no more. */
  ended: string | null;
}

function Page({ backend }: { backend: Backend }): JSX.Element {
  const [{ me, error, ended }, setStanding] = useState<Standing>({ me: null, error: null, ended: null });
  const voice = useVoice();
  const greet = useCallback(async () => {
    try {
      setStanding({ me: await backend.get("/api/users/me"), error: null, ended: null });
    } catch (problem) {
      setStanding((before) => ({ me: null, error: asRefusal(problem), ended: before.ended }));
      throw problem;
    }
  }, [backend]);
  const signedOut = useCallback((why: string | null) => setStanding({ me: null, error: new Refusal(SIGNED_OUT, ENDED), ended: why }), []);
  const live = useMemo(() => new Live(backend, () => signedOut(ENDED)), [backend, signedOut]);
  useEffect(() => void greet().catch(() => {}), [greet]);
  useEffect(() => {
    if (me) live.start();
    return () => live.end();
  }, [me, live]);
  const desk = useMemo<Desk | null>(
    () => me && { backend, live, cache: new Map(), me, may: (operation) => me.may?.includes(operation) ?? true, toast: voice.toast, announce: voice.announce, signedOut },
    [me, backend, live, voice.toast, voice.announce, signedOut],
  );
  return (
    <>
      {desk ? (
        <DeskContext.Provider value={desk}>
          <Shell />
        </DeskContext.Provider>
      ) : error?.code === SIGNED_OUT && backend instanceof BrowserBackend ? (
        <SignIn backend={backend} why={ended} done={greet} />
      ) : (
        <main class="alone" id="main">
          <h1 class="unseen">vel-tutor</h1>
          {error ? <Failed error={error} again={() => void greet().catch(() => {})} /> : <Loading />}
        </main>
      )}
      {voice.shown}
    </>
  );
}

/** The tool that opened the page says which view it is about. */
function show(place: Json): void {
  const { view, id } = place ?? {};
  if (typeof view === "string") go(hashOf(view, typeof id === "string" ? id : null), true);
}

async function start(): Promise<void> {
  const root = document.getElementById("page")!;
  if (window.parent === window) {
    showTheme(chosenTheme());
    render(<Page backend={new BrowserBackend()} />, root);
    return;
  }
  const bridge = new Bridge(window.parent, { context: followHost, shown: show, ending: () => render(null, root) });
  try {
    await bridge.open(VERSION);
  } catch (problem) {
    render(<Failed error={asRefusal(problem)} />, root);
    return;
  }
  followSize(bridge);
  render(<Page backend={new AppBackend(bridge)} />, root);
}

void start();
