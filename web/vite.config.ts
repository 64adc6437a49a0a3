// One script and one style sheet into the Python package, and the hash of what they were made from.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { defineConfig } from "vite";

const root = import.meta.dirname;
const out = join(root, "../kedge/live/page_files");

function sources(): string[] {
  const inside = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const around = ["package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"];
  return [...inside, ...around.map((name) => join(root, name))];
}

// the same as `sources_hash` of kedge/live/page.py
function hash(): string {
  const named = sources().map((file) => [relative(root, file).split(sep).join("/"), file]);
  named.sort(([a], [b]) => (a < b ? -1 : 1));
  const found = createHash("sha256");
  for (const [name, file] of named) {
    const content = Buffer.from(readFileSync(file, "utf8").replaceAll("\r\n", "\n"));
    found.update(`${name}\0${content.length}\0`);
    found.update(content);
  }
  return found.digest("hex");
}

export default defineConfig({
  build: {
    outDir: out,
    emptyOutDir: false,
    minify: true,
    cssMinify: true,
    lib: { entry: "src/main.ts", formats: ["es"], fileName: () => "live.js", cssFileName: "live" },
  },
  plugins: [
    {
      name: "built-from",
      closeBundle() {
        writeFileSync(join(out, "built.json"), JSON.stringify({ sources: hash() }) + "\n");
      },
    },
  ],
});
