// A certified OpenID Connect provider: `oidc-provider`, with its own pages for developers, where any name may sign in
// and is its own `sub`. Its first argument is the server that it gives access tokens for, by its address or that of
// /mcp there. Each line of its input is a set of private keys, with which it goes on; it answers each with its issuer.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { errors, Provider } from "oidc-provider";

console.info = console.error; // its own remarks
const [resource] = process.argv.slice(1);
let handle;
const server = createServer((request, response) => handle(request, response));
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const told = createInterface({ input: process.stdin });
  told.on("close", () => process.exit(0));
  told.on("line", (line) => {
    handle = provider(issuer, JSON.parse(line)).callback();
    console.log(JSON.stringify({ issuer }));
  });
});

function provider(issuer, jwks) {
  return new Provider(issuer, {
    jwks,
    cookies: { keys: ["of tests alone"] },
    clientAuthMethods: ["none"],
    clientDefaults: { token_endpoint_auth_method: "none" },
    features: {
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo(_, asked) {
          if (![resource, `${resource}/mcp`].includes(asked.replace(/\/$/, ""))) throw new errors.InvalidTarget();
          return { audience: asked, scope: "", accessTokenFormat: "jwt", jwt: { sign: { alg: jwks.keys[0].alg } } };
        },
      },
    },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  });
}
