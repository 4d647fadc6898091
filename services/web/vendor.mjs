// Copies the third-party files that the map page needs from node_modules to static/vendor,
// with VENDOR.json naming the version, licence and sha256 of each. Run by `npm run vendor`.
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "static", "vendor");

/** Files taken from each package: path in the package -> path under static/vendor. */
const packages = {
  "maplibre-gl": {
    "dist/maplibre-gl.mjs": "maplibre-gl/maplibre-gl.mjs",
    "dist/maplibre-gl-worker.mjs": "maplibre-gl/maplibre-gl-worker.mjs",
    "dist/maplibre-gl.css": "maplibre-gl/maplibre-gl.css",
    "LICENSE.txt": "maplibre-gl/LICENSE.txt",
  },
  "terra-draw": {
    "dist/terra-draw.module.js": "terra-draw/terra-draw.mjs",
  },
  "terra-draw-maplibre-gl-adapter": {
    "dist/terra-draw-maplibre-gl-adapter.module.js": "terra-draw-maplibre-gl-adapter/adapter.mjs",
  },
  "@fontsource-variable/inter": {
    "files/inter-latin-wght-normal.woff2": "inter/inter-latin.woff2",
    "files/inter-latin-ext-wght-normal.woff2": "inter/inter-latin-ext.woff2",
    LICENSE: "inter/LICENSE",
  },
};

await rm(target, { recursive: true, force: true });
const listing = [];
for (const [name, files] of Object.entries(packages)) {
  const source = join(here, "node_modules", name);
  const manifest = JSON.parse(await readFile(join(source, "package.json"), "utf8"));
  const entry = { name, version: manifest.version, licence: manifest.license, files: [] };
  for (const [from, to] of Object.entries(files)) {
    const destination = join(target, to);
    await mkdir(dirname(destination), { recursive: true });
    await copyFile(join(source, from), destination);
    const sha256 = createHash("sha256").update(await readFile(destination)).digest("hex");
    entry.files.push({ path: to, sha256 });
  }
  listing.push(entry);
}
await writeFile(join(target, "VENDOR.json"), `${JSON.stringify(listing, null, 2)}\n`);
console.log(`${listing.length} packages copied to services/web/static/vendor`);
