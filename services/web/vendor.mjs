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
  "swagger-ui-dist": {
    "swagger-ui-bundle.js": "swagger-ui/swagger-ui-bundle.js",
    "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui/swagger-ui-bundle.js.LICENSE.txt",
    "swagger-ui.css": "swagger-ui/swagger-ui.css",
    LICENSE: "swagger-ui/LICENSE",
    NOTICE: "swagger-ui/NOTICE",
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

/** Packages published without their licence's text: package -> path of the text under static/vendor. */
const unlicensed = {
  "terra-draw": "terra-draw/LICENSE",
  "terra-draw-maplibre-gl-adapter": "terra-draw-maplibre-gl-adapter/LICENSE",
};

/** The text as in the licence file of their repository. @param {string} holder */
const mitLicence = (holder) => `MIT License

Copyright 2022 ${holder}

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`;

/** Record a file of static/vendor. @param {string} path */
async function listed(path) {
  const sha256 = createHash("sha256").update(await readFile(join(target, path))).digest("hex");
  return { path, sha256 };
}

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
    entry.files.push(await listed(to));
  }
  if (name in unlicensed) {
    if (manifest.license !== "MIT" || !manifest.author) throw new Error(`${name} is no longer MIT with one author`);
    await writeFile(join(target, unlicensed[name]), mitLicence(manifest.author));
    entry.files.push(await listed(unlicensed[name]));
  }
  listing.push(entry);
}
await writeFile(join(target, "VENDOR.json"), `${JSON.stringify(listing, null, 2)}\n`);
console.log(`${listing.length} packages copied to services/web/static/vendor`);
