// The sign-in of a tab, by a server that says what a test wants.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { type Refusal, SIGNED_OUT } from "../src/backend.ts";
import { BrowserBackend } from "../src/browser.ts";
import { ofTab } from "../src/storage.ts";

const TOKEN = "vel-tutor.token";
const REFRESH = "vel-tutor.refresh";
const GOOD = { token: "new", refresh_token: "next" };
const backend = new BrowserBackend();

/** The token has expired; a new one is asked for with this answer. */
function refreshing(status: number, body: unknown): void {
  globalThis.fetch = async (path, options) => {
    if (path === "/api/auth/refresh") return Response.json(body, { status });
    const bearer = new Headers(options?.headers).get("authorization");
    if (bearer === `Bearer ${GOOD.token}`) return Response.json({ data: [] });
    return Response.json({ error: { code: SIGNED_OUT, message: "The token has expired." } }, { status: 401 });
  };
}

function kept(): (string | null)[] {
  return [ofTab.read(TOKEN), ofTab.read(REFRESH)];
}

beforeEach(() => {
  ofTab.write(TOKEN, "expired");
  ofTab.write(REFRESH, "good");
});

test("a token that has expired is renewed", async () => {
  refreshing(200, GOOD);
  assert.deepEqual(await backend.get("/api/tasks"), { data: [] });
  assert.deepEqual(kept(), ["new", "next"]);
});

for (const status of [429, 500, 502, 503]) {
  test(`a sign-in that cannot be renewed now, by ${status}, is kept, and why is told`, async () => {
    refreshing(status, { error: { code: "BUSY", message: "Not now; try again." } });
    await assert.rejects(backend.get("/api/tasks"), (problem: Refusal) => problem.code === "BUSY");
    assert.deepEqual(kept(), ["expired", "good"]);
  });
}

for (const status of [400, 401]) {
  test(`a sign-in whose refresh token is refused, by ${status}, has ended`, async () => {
    refreshing(status, { error: { code: SIGNED_OUT, message: "The token is not good." } });
    await assert.rejects(backend.get("/api/tasks"), (problem: Refusal) => problem.code === SIGNED_OUT);
    assert.deepEqual(kept(), [null, null]);
  });
}
