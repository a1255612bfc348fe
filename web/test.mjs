// Runs the tests of the page's functions: each file of test/ is bundled for Node, which has a runner of its own.
// They run far from UTC, where a day of UTC taken for one of the reader's is another day.
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

const here = new URL("test/", import.meta.url).pathname;
const files = (await readdir(here)).filter((name) => /\.test\.tsx?$/.test(name));
const out = await mkdtemp(join(tmpdir(), "vel-web-"));
try {
  await build({
    entryPoints: files.map((name) => join(here, name)),
    outdir: out,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    loader: { ".css": "empty" },
  });
  const built = (await readdir(out)).map((name) => join(out, name));
  process.exitCode = spawnSync(process.execPath, ["--test", ...built], { stdio: "inherit", env: { ...process.env, TZ: "America/Los_Angeles" } }).status ?? 1;
} finally {
  await rm(out, { recursive: true });
}
