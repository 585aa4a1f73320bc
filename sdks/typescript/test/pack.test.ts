// The package as it is published: packed with a program in it, installed elsewhere, and used.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { findBinary } from "everloop";
import { folder } from "./help.js";

test("the packed package brings its program, and runs a script", () => {
  const own = folder();
  const home = fileURLToPath(new URL("../../", import.meta.url));
  // It stands for the program, which is too large to be packed in every run.
  const program = join(own, "program");
  writeFileSync(program, `#!/bin/sh\nexec "${findBinary()}" "$@"\n`);
  chmodSync(program, 0o755);
  const env: NodeJS.ProcessEnv = { ...process.env, EVERLOOP_PACK_BIN: program, XDG_STATE_HOME: own };
  const quiet = ["--silent", "--offline"];
  // Nothing is compiled again: the other tests are using it.
  execFileSync(process.execPath, ["scripts/place-binary.mjs"], { cwd: home, env });
  execFileSync("npm", ["pack", ...quiet, "--ignore-scripts", "--pack-destination", own], { cwd: home, env });
  rmSync(join(home, "vendor"), { recursive: true });
  const packed = readdirSync(own).find((name) => name.endsWith(".tgz"));
  assert.ok(packed);

  const project = join(own, "project");
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{"name":"user","private":true,"type":"module"}');
  delete env.EVERLOOP_BIN;
  const run = (name: string, args: string[], cwd = project) =>
    execFileSync(name, args, { cwd, env, encoding: "utf8" });
  run("npm", ["install", ...quiet, join(own, packed)]);
  const installed = readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith("."));
  assert.deepEqual(installed, ["everloop"]);
  assert.match(run("npx", ["--offline", "everloop", "--version"]), /^everloop \d/);
  mkdirSync(join(project, "deep"));
  const script = `import { run, step, task } from "everloop";
    const hi = task("hi", (name) => step.run("greet", () => "hi " + name));
    console.log(await run(hi, ["Ada"], { key: "hi-1" }));`;
  writeFileSync(join(project, "deep", "hi.js"), script);
  assert.equal(run("node", ["hi.js"], join(project, "deep")), "hi Ada\n");
  // The data lies where the project's package.json lies.
  assert.ok(readdirSync(project).includes(".everloop"));
});
