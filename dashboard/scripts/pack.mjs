// Puts the build into crates/ui: each file compressed with brotli, and a list of them for Rust. With --check it only compares
// what the committed files unpack to: compressors may differ from one version of Node to the next.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, brotliDecompressSync, constants, gzipSync } from "node:zlib";

const here = fileURLToPath(new URL("..", import.meta.url));
const built = join(here, "dist");
const target = join(here, "../crates/ui/dist");
const list = join(here, "../crates/ui/src/files.rs");
const TYPES = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
  woff2: "font/woff2",
};

const walk = (folder) =>
  readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      return statSync(path).isDirectory() ? walk(path) : [path];
    });

const files = walk(built).map((path) => ({ name: relative(built, path), bytes: readFileSync(path) }));
const worker = files.find(({ name }) => name === "sw.js");
if (worker) {
  const others = files.filter((file) => file !== worker);
  const hash = createHash("sha256");
  for (const { name, bytes } of others) hash.update(name).update(bytes);
  const kept = others.map(({ name }) => name).filter((name) => name !== "index.html");
  const text = worker.bytes.toString().replace("__VERSION__", hash.digest("hex").slice(0, 16));
  worker.bytes = Buffer.from(text.replace('["__FILES__"]', JSON.stringify(kept)));
}
const entry = ({ name, bytes }) => {
  const type = TYPES[name.slice(name.lastIndexOf(".") + 1)];
  if (!type) throw new Error(`${name} is of no type that the dashboard serves`);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 32);
  const path = JSON.stringify(`../dist/${name}.br`);
  return `    File::new(\n        ${JSON.stringify(name)},\n        ${JSON.stringify(type)},\n        "${hash}",\n        include_bytes!(${path}),\n    ),\n`;
};
const rust = `//! Every file of the dashboard. Written by \`npm run build\` in \`dashboard/\`.

use crate::File;

#[rustfmt::skip]
pub(crate) static FILES: [File; ${files.length}] = [
${files.map(entry).join("")}];
`;

if (process.argv.includes("--check")) {
  const there = existsSync(target) ? walk(target).map((path) => relative(target, path)) : [];
  const differing = files.filter(({ name, bytes }) => {
    const path = join(target, `${name}.br`);
    return !existsSync(path) || !brotliDecompressSync(readFileSync(path)).equals(bytes);
  });
  const extra = there.filter((name) => !files.some((file) => `${file.name}.br` === name));
  if (differing.length || extra.length || readFileSync(list, "utf8") !== rust) {
    console.error("crates/ui is not what dashboard/ builds to: run `npm run build` there and commit it");
    for (const name of [...differing.map((file) => file.name), ...extra]) console.error(`  ${name}`);
    process.exit(1);
  }
} else {
  rmSync(target, { recursive: true, force: true });
  for (const { name, bytes } of files) {
    const path = join(target, `${name}.br`);
    mkdirSync(dirname(path), { recursive: true });
    const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
    writeFileSync(path, brotliCompressSync(bytes, { params }));
  }
  writeFileSync(list, rust);
}
const kib = (bytes) => `${(bytes / 1024).toFixed(1).padStart(7)} KiB`;
for (const { name, bytes } of files) {
  console.log(`${kib(gzipSync(bytes, { level: 9 }).length)} gzip  ${name}`);
}
