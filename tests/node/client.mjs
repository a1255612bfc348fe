// A client of the TypeScript SDK that signs in by OAuth: its arguments are the server's address, the SDK's version,
// and where it waits for its person. It says where a person is to be sent, is told where they came back to, then lists tools, calls one, and says the answer.
import { createInterface } from "node:readline";

const [address, version, redirectUrl] = process.argv.slice(1);
const { Client, StreamableHTTPClientTransport, UnauthorizedError } =
  version === "v2"
    ? await import("@modelcontextprotocol/client")
    : {
        ...(await import("@modelcontextprotocol/sdk/client/index.js")),
        ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
        ...(await import("@modelcontextprotocol/sdk/client/auth.js")),
      };

const say = (what) => console.log(JSON.stringify(what));
const told = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

class Person {
  #kept = {};
  redirectUrl = redirectUrl;
  clientMetadata = {
    client_name: `TypeScript SDK ${version}`,
    redirect_uris: [this.redirectUrl],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  state = () => (this.#kept.state ??= crypto.randomUUID());
  clientInformation = () => this.#kept.client;
  saveClientInformation = (client) => void (this.#kept.client = client);
  tokens = () => this.#kept.tokens;
  saveTokens = (tokens) => void (this.#kept.tokens = tokens);
  codeVerifier = () => this.#kept.verifier;
  saveCodeVerifier = (verifier) => void (this.#kept.verifier = verifier);
  discoveryState = () => this.#kept.discovery;
  saveDiscoveryState = (discovery) => void (this.#kept.discovery = discovery);
  redirectToAuthorization = (url) => say({ authorize: url.href });
}

const person = new Person();
const way = () => new StreamableHTTPClientTransport(new URL(address), { authProvider: person });
let client = new Client({ name: "typescript", version: "1" });
let transport = way();
try {
  await client.connect(transport);
} catch (problem) {
  if (!(problem instanceof UnauthorizedError)) throw problem;
  const back = new URL(JSON.parse((await told.next()).value).back);
  if (back.searchParams.get("state") !== person.state()) throw new Error("another state");
  await transport.finishAuth(version === "v2" ? back.searchParams : back.searchParams.get("code"));
  client = new Client({ name: "typescript", version: "1" });
  await client.connect(way());
}
const { tools } = await client.listTools();
const answer = await client.callTool({ name: "agent_list", arguments: {} });
say({ tools: tools.map(({ name }) => name), refused: answer.isError ?? false, answer: answer.structuredContent });
await client.close();
process.exit(0);
