// The page docs/typescript.md: every script in it is compiled and run, and says what the page says.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { LocalServer } from "everloop";
import { folder } from "./help.js";
import { finish, start } from "./scripts.js";

const page = readFileSync(new URL("../../../../docs/typescript.md", import.meta.url), "utf8");
const home = fileURLToPath(new URL("../../", import.meta.url));
const scripts = [
  ...page.matchAll(
    /## ([^\n]+)\n(?:(?!\n## )[\s\S])*?```(ts|js)\n([\s\S]*?)```\n[\s\S]*?```text\n([\s\S]*?)```/g,
  ),
];

test("the page shows scripts, each with what it says", () => {
  assert.equal(scripts.length, [...page.matchAll(/```(ts|js)\n/g)].length);
  assert.ok(scripts.length >= 7);
});

// Inside of the package, so that its own name is found.
const made = join(home, "build", "docs");
rmSync(made, { recursive: true, force: true });
mkdirSync(made, { recursive: true });
for (const [i, [, , language, code]] of scripts.entries())
  writeFileSync(join(made, language === "ts" ? `page-${i}.ts` : `page-${i}.mjs`), code ?? "");
const options = {
  extends: "../../tsconfig.test.json",
  compilerOptions: { rootDir: ".", outDir: "out" },
  include: ["*.ts"],
  exclude: [],
};
writeFileSync(join(made, "tsconfig.json"), JSON.stringify(options));
execFileSync(join(home, "node_modules/.bin/tsc"), ["-p", made], { stdio: "inherit" });

const data = join(folder(), ".everloop");
const server = LocalServer.of(join(data, "shared"));
after(() => server.stop());

for (const [i, [, title, language, code, says]] of scripts.entries()) {
  test(`the script of "${title}" says what the page says`, async () => {
    const env: NodeJS.ProcessEnv = {};
    if (!/[ (]run\(/.test(code ?? "")) {
      // It wants a server that is there.
      const endpoint = await server.endpoint();
      env.EVERLOOP_URL = endpoint.url;
      env.EVERLOOP_API_KEY = endpoint.apiKey;
    }
    assert.equal(
      await finish(
        start(join(made, language === "ts" ? `out/page-${i}.js` : `page-${i}.mjs`), data, [], env),
      ),
      says,
    );
  });
}
