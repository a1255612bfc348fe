// Signing in, with an account of this server or with a token of an issuer that it trusts.

import type { JSX, TargetedSubmitEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { BrowserBackend } from "./browser";
import { Mark } from "./components/mark";
import { asRefusal } from "./desk";

interface SignInProps {
  backend: BrowserBackend;
  /** Why one is here again, such as that the sign-in has ended. */
  why: string | null;
  done: () => Promise<void>;
}

export function SignIn({ backend, why, done }: SignInProps): JSX.Element {
  const [byToken, setByToken] = useState(false);
  const [problem, setProblem] = useState(why);
  const [busy, setBusy] = useState(false);
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = "Sign in · vel-tutor";
    first.current?.focus();
  }, [byToken]);
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setProblem(null);
    try {
      if (byToken) backend.useToken(String(form.get("token")).trim());
      else await backend.signIn(String(form.get("email")), String(form.get("password")));
      await done();
    } catch (error) {
      setProblem(asRefusal(error).message);
      setBusy(false);
    }
  };
  return (
    <main class="sign-in" id="main">
      <form onSubmit={submit}>
        <Mark />
        <h1>Sign in to vel-tutor</h1>
        {byToken ? (
          <label>
            Access token
            <input ref={first} name="token" type="password" required autocomplete="off" spellcheck={false} />
          </label>
        ) : (
          <>
            <label>
              E-mail
              <input ref={first} name="email" type="email" required maxLength={200} autocomplete="username" />
            </label>
            <label>
              Password
              <input name="password" type="password" required maxLength={200} autocomplete="current-password" />
            </label>
          </>
        )}
        <p class="problem" role="alert">
          {problem}
        </p>
        <button type="submit" class="primary" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
        <button type="button" class="quiet" onClick={() => setByToken(!byToken)}>
          {byToken ? "Use e-mail and password" : "Use an access token"}
        </button>
      </form>
    </main>
  );
}
