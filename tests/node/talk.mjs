// A client of the TypeScript SDK: its arguments are v1, v2, or v2 with `auto` for whichever era the server prefers; a
// way, and an address or a command. It lists tools, gives a task, subscribes to it where it can, and says what it heard.
const [version, way, place] = process.argv.slice(1);
const { Client, StreamableHTTPClientTransport, StdioClientTransport, updated } = version.startsWith("v2")
  ? {
      ...(await import("@modelcontextprotocol/client")),
      ...(await import("@modelcontextprotocol/client/stdio")),
      updated: "notifications/resources/updated",
    }
  : {
      ...(await import("@modelcontextprotocol/sdk/client/index.js")),
      ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
      ...(await import("@modelcontextprotocol/sdk/client/stdio.js")),
      updated: (await import("@modelcontextprotocol/sdk/types.js")).ResourceUpdatedNotificationSchema,
    };

const options = version === "v2-auto" ? { versionNegotiation: { mode: "auto" } } : {};
const client = new Client({ name: `typescript-${version}`, version: "1" }, options);
const heard = new Promise((resolve) => client.setNotificationHandler(updated, () => resolve(true)));
await client.connect(
  way === "http" ? new StreamableHTTPClientTransport(new URL(place)) : new StdioClientTransport({ command: place }),
);
const { tools } = await client.listTools();
const given = await client.callTool({ name: "task_submit", arguments: { prompt: "Say hello", wait_seconds: 0 } });
const uri = `task://${given.structuredContent.id}`;
if (version === "v2-auto") await client.listen({ resourceSubscriptions: [uri] });
else if (client.getServerCapabilities().resources.subscribe) await client.subscribeResource({ uri });
const told = client.getServerCapabilities().resources.subscribe && (await heard);
console.log(JSON.stringify({ tools: tools.length, status: given.structuredContent.status, told }));
await client.close();
process.exit(0);
