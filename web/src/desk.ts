// What every part of the page may use: the backend, who is asking, news, and a voice.

import { createContext } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";
import { type Action, type Backend, type Json, type Query, Refusal, SIGNED_OUT, withQuery } from "./backend";
import type { Area, Live } from "./live";

export const ENDED = "Your sign-in has ended; sign in again.";

const MOST_KEPT = 60;

export interface Me {
  id: string;
  email: string | null;
  role: string;
  organisation: string;
  may?: string[];
}

export interface Desk {
  backend: Backend;
  live: Live;
  /** The last answers by their path, shown until the next ones are there. */
  cache: Map<string, Json>;
  me: Me;
  /** Whether the caller's role has this operation, such as "task_submit". */
  may: (operation: string) => boolean;
  /** Show a short message, and read it out. */
  toast: (text: string, kind?: "good" | "bad") => void;
  /** Read something out that can be seen anyhow. */
  announce: (text: string) => void;
  /** To the sign-in; with the reason, where one did not leave by oneself. */
  signedOut: (why: string | null) => void;
}

export const DeskContext = createContext<Desk | null>(null);

export function useDesk(): Desk {
  const desk = useContext(DeskContext);
  if (!desk) throw new Error("There is no desk around this part of the page.");
  return desk;
}

export interface Data<T> {
  /** The last answer; it stays while the next one is read, and after a failure. */
  data: T | null;
  error: Refusal | null;
  /** Being read; with `data` null for the first time. */
  loading: boolean;
  reload: () => void;
}

/** What a path of REST answers, read again when one of the areas changes. A null path reads nothing. */
export function useData<T = Json>(path: string | null, query: Query = {}, areas: readonly Area[] = []): Data<T> {
  const desk = useDesk();
  const whole = path === null ? null : withQuery(path, query);
  const [state, setState] = useState<{ of: string | null; data: T | null; error: Refusal | null; loading: boolean }>(() => ({
    of: whole,
    data: (whole !== null && desk.cache.get(whole)) || null,
    error: null,
    loading: true,
  }));
  const under = useRef<AbortController | null>(null);
  const again = useRef(false);

  const read = useCallback(async () => {
    if (whole === null) return;
    if (under.current) {
      again.current = true;
      return;
    }
    const mine = (under.current = new AbortController());
    setState((before) => ({ ...before, loading: true }));
    const ended = await answerOf<T>(desk.backend, whole, mine.signal);
    if (mine.signal.aborted) return;
    under.current = null;
    keep(desk.cache, whole, ended.data);
    if (ended.error?.code === SIGNED_OUT) desk.signedOut(ENDED);
    setState((before) => ({ of: whole, data: ended.data ?? (before.of === whole ? before.data : null), error: ended.error, loading: false }));
    if (again.current) {
      again.current = false;
      void read();
    }
  }, [whole, desk]);

  useEffect(() => {
    void read();
    return () => {
      under.current?.abort();
      under.current = null;
      again.current = false;
    };
  }, [read]);

  const wanted = areas.join(" ");
  useEffect(() => {
    if (!wanted) return undefined;
    const mine = wanted.split(" ") as Area[];
    return desk.live.hear((changed) => mine.some((area) => changed.has(area)) && void read());
  }, [desk, wanted, read]);

  return { data: state.data, error: state.error, loading: state.loading || state.of !== whole, reload: () => void read() };
}

function keep(cache: Map<string, Json>, path: string, answer: Json): void {
  cache.delete(path);
  if (answer !== null) cache.set(path, answer);
  for (const oldest of cache.keys()) {
    if (cache.size <= MOST_KEPT) break;
    cache.delete(oldest);
  }
}

async function answerOf<T>(backend: Backend, path: string, signal: AbortSignal): Promise<{ data: T | null; error: Refusal | null }> {
  try {
    return { data: await backend.get(path, {}, signal), error: null };
  } catch (problem) {
    return { data: null, error: asRefusal(problem) };
  }
}

export function asRefusal(problem: unknown): Refusal {
  if (problem instanceof Refusal) return problem;
  return new Refusal("PAGE", `The page itself failed: ${problem instanceof Error ? problem.message : String(problem)}`);
}

export interface Doing<Args> {
  /** The answer, or undefined where it was refused; then a toast has said why. */
  run: (args: Args) => Promise<Json | undefined>;
  busy: boolean;
  error: Refusal | null;
}

/** An action, at most once at a time; the areas that it changes are read again at once. */
export function useAction<Args>(action: Action<Args>, areas: readonly Area[], done?: string | ((answer: Json, args: Args) => string)): Doing<Args> {
  const desk = useDesk();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Refusal | null>(null);
  const run = async (args: Args) => {
    setBusy(true);
    setError(null);
    try {
      const answer = await desk.backend.act(action, args);
      if (done) desk.toast(typeof done === "string" ? done : done(answer, args), "good");
      return answer;
    } catch (problem) {
      const refusal = asRefusal(problem);
      if (refusal.code === SIGNED_OUT) desk.signedOut(ENDED);
      setError(refusal);
      desk.toast(refusal.message, "bad");
      return undefined;
    } finally {
      setBusy(false);
      desk.live.changed(...areas);
    }
  };
  return { run, busy, error };
}
