// A host of MCP Apps, to be bundled for a browser: the official bridge between a page in a sandboxed frame and the
// official client of our server. `host.open` calls a tool and shows its page; `host.noted` is what came of it.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  AppBridge,
  buildAllowAttribute,
  getToolUiResourceUri,
  isToolVisibilityAppOnly,
  PostMessageTransport,
  RESOURCE_MIME_TYPE,
} from "@modelcontextprotocol/ext-apps/app-bridge";

const ME = { name: "test-host", version: "1" };
const noted = { calls: [], sizes: [], csp: "", tools: [], hidden: [] };
let bridge;

// What the specification has a host allow a page that names no domains.
const policy = ({ connectDomains = [], resourceDomains = [] } = {}) =>
  [
    "default-src 'none'",
    ["script-src 'self' 'unsafe-inline'", ...resourceDomains].join(" "),
    ["style-src 'self' 'unsafe-inline'", ...resourceDomains].join(" "),
    ["img-src 'self' data:", ...resourceDomains].join(" "),
    `connect-src ${connectDomains.join(" ") || "'none'"}`,
    "frame-src 'none'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");

async function connected(address, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const extensions = { "io.modelcontextprotocol/ui": { mimeTypes: [RESOURCE_MIME_TYPE] } };
  const client = new Client(ME, { capabilities: { extensions } });
  await client.connect(new StreamableHTTPClientTransport(new URL(address), { requestInit: { headers } }));
  return client;
}

function framed({ text, _meta }) {
  noted.csp = policy(_meta?.ui?.csp);
  const frame = document.createElement("iframe");
  frame.title = "app";
  frame.sandbox = "allow-scripts"; // of no origin: it has no storage, and reaches nobody but us
  frame.allow = buildAllowAttribute(_meta?.ui?.permissions);
  const within = `<meta http-equiv="Content-Security-Policy" content="${noted.csp}">`;
  frame.srcdoc = text.replace(/<head[^>]*>|<html[^>]*>/i, (tag) => tag + within);
  frame.style.cssText = "border:0;width:100%;height:300px";
  return frame;
}

async function open({ address, token, tool, args, hostContext }) {
  const client = await connected(address, token);
  const { tools } = await client.listTools();
  noted.tools = tools.filter((one) => !isToolVisibilityAppOnly(one)).map((one) => one.name);
  noted.hidden = tools.filter(isToolVisibilityAppOnly).map((one) => one.name);
  const uri = getToolUiResourceUri(tools.find((one) => one.name === tool));
  const [page] = (await client.readResource({ uri })).contents;
  if (page.mimeType !== RESOURCE_MIME_TYPE) throw new Error(page.mimeType);
  const frame = framed(page);
  bridge = new AppBridge(client, ME, { serverTools: {}, openLinks: {}, logging: {} }, { hostContext });
  bridge.addEventListener("sizechange", (size) => {
    noted.sizes.push(size);
    if (size.height !== undefined && !hostContext.containerDimensions?.height) frame.style.height = `${size.height}px`;
  });
  const begun = new Promise((resolve) => bridge.addEventListener("initialized", resolve));
  window.addEventListener("message", ({ source, data }) => {
    if (source === frame.contentWindow && data.method === "tools/call") noted.calls.push(data.params);
  });
  document.body.append(frame);
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  await begun;
  await bridge.sendToolInput({ arguments: args });
  await bridge.sendToolResult(await client.callTool({ name: tool, arguments: args }));
}

window.host = {
  noted,
  open,
  change: (context) => bridge.setHostContext(context),
  close: () => bridge.teardownResource({}),
};
