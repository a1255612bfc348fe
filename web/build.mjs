// Builds the page: one file with one <style> and one <script>, which asks for nothing but the API.
// `node build.mjs [file]`; without a file it is the one that the package ships.
import { readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const SHIPPED = "../src/vel_tutor_mcp/doors/dashboard/page.html";
const LIBRARIES = ["preact", "uplot"];

const here = (name) => new URL(name, import.meta.url);

// uPlot formats in the browser's language as soon as it is loaded, and some browsers name one that there is not
// ("en-US@posix"): the whole page would end there. The page speaks English, so do its charts.
const inEnglish = {
  name: "charts in English",
  setup: ({ onLoad }) =>
    onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const contents = source.replace("domEnv ? nav.language : 'en-US'", "'en'");
      if (contents === source) throw new Error("uPlot names its language otherwise now; see inEnglish in build.mjs");
      return { contents };
    }),
};

const built = await build({
  entryPoints: [here("src/main.tsx").pathname],
  bundle: true,
  minify: true,
  write: false,
  outdir: "out",
  format: "iife",
  target: "es2022",
  supported: { "color-functions": true, nesting: true },
  legalComments: "none",
  charset: "utf8",
  plugins: [inEnglish],
});

const text = (ending) => built.outputFiles.find((file) => file.path.endsWith(ending)).text.trim();

// Their licences ask to be told with every copy.
const licences = await Promise.all(
  LIBRARIES.map(async (name) => `${name}\n${await readFile(here(`node_modules/${name}/LICENSE`), "utf8")}`),
);

const parts = {
  LICENCES: licences.map((licence) => licence.trim()).join("\n\n"),
  STYLE: text(".css"),
  SCRIPT: text(".js").replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--"),
};
const frame = await readFile(here("src/page.html"), "utf8");
const page = frame.replace(/\{\{(\w+)\}\}/g, (_, name) => parts[name]);
await writeFile(process.argv[2] ?? here(SHIPPED), page);
